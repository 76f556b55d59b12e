"""The arguments of O's own tools, read from what a model wrote; what is wrong with them is said in words for it."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from o.domain.json import JsonObject


def _storable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it contains half of a surrogate pair") from None
    if "\0" in text:
        raise ValueError("it contains a NUL character")
    return text


# A text that can be stored.
Text = Annotated[str, AfterValidator(_storable)]


class Arguments(BaseModel):
    """Root of the arguments of one tool. Others than its own are passed over, and null is as good as absent."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @classmethod
    def read(cls, given: JsonObject) -> Self:
        """Raises ValueError: names every argument that is missing or wrong, and repeats none of them."""
        said = {name: value for name, value in given.items() if value is not None}
        try:
            return cls.model_validate(said)
        except ValidationError as error:
            raise ValueError("; ".join(_complaint(each["loc"], each["msg"]) for each in error.errors())) from None


def _complaint(place: tuple[int | str, ...], message: str) -> str:
    name = ".".join(map(str, place))
    if message == "Field required":
        return f"the argument '{name}' is missing"
    return f"the argument {name}: {message.removeprefix('Value error, ')}"


def zone_of(timezone: str) -> tzinfo:
    """The time zone of an agent; UTC where its name is none."""
    try:
        return ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):
        return UTC


def moment(text: str | None, name: str, zone: tzinfo, *, end_of_day: bool = False) -> datetime | None:
    """An ISO 8601 day or time, in this zone where it names none.

    Args:
        end_of_day: whether a day means its last moment, not its first.

    Raises:
        ValueError: it is neither.
    """
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text.strip())
        if end_of_day and len(text.strip()) <= len("2026-01-31"):
            found += timedelta(days=1, microseconds=-1)
        found = found if found.tzinfo else found.replace(tzinfo=zone)
        return found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{name} must be a date or time in ISO 8601, like 2026-01-31 or 2026-01-31T09:30") from None
