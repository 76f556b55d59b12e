"""What is known of Anthropic's models: windows, prices, and how each wants to be asked, by the start of its name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

from o.domain.price import Price
from o.errors import InvalidReply
from o.providers.base import Profile
from o.providers.listings import read_listing
from o.providers.spec import ProfileChange


@dataclass(frozen=True, slots=True)
class Claude:
    """One model: its profile, and what its wire takes that other models' does not.

    Attributes:
        thinks: how it is asked to think: `adaptive` (it decides how much), `budget` (up to so many tokens), not at all.
        by_default: whether it thinks when nobody asks it to.
        off: the word that stops its thinking; None where nothing does.
        efforts: the efforts it knows.
        forced: whether a tool call can be demanded of it.
        bound: whether a thought of it that comes back is refused once anything before it has changed.
        own: whether it is one of Anthropic's: then the limits of its service apply, and its prompt cache is there.
    """

    profile: Profile
    thinks: Literal["adaptive", "budget"] | None = "adaptive"
    by_default: bool = True
    off: Literal["disabled", "between_tools"] | None = None
    efforts: tuple[str, ...] = ("low", "medium", "high", "xhigh")
    forced: bool = False
    bound: bool = True
    own: bool = True


def _profile(window: int, output: int, price: Price | None, *, sampling: bool = False) -> Profile:
    return Profile(
        window,
        output,
        parallel_tool_calls=True,
        reasoning=True,
        images=True,
        sampling=sampling,
        tokenizer="claude",
        price=price,
    )


def _price(read: str, write: str, plain: str, output: str) -> Price:
    return Price(Decimal(plain), Decimal(output), cached_input=Decimal(read), cache_write=Decimal(write))


# List prices in USD per million tokens, cache writes for five minutes, from the vendor's pricing page as of 2026-11.
_FABLE_5_2 = _price("0.20", "10", "8", "40")
_FABLE_5_1 = _price("0.25", "12.50", "10", "50")
_FABLE_5 = _price("1", "12.50", "10", "50")
_OPUS_5_5 = _price("0.20", "5", "4", "20")
_OPUS_5 = _price("0.50", "6.25", "5", "25")  # the same since Opus 4.5
_OPUS_4 = _price("1.50", "18.75", "15", "75")
_SONNET_5_5 = _price("0.10", "2.50", "2", "10")
_SONNET_5 = _price("0.20", "2.50", "2", "10")
_SONNET_4 = _price("0.30", "3.75", "3", "15")
_HAIKU_5_5 = replace(
    _price("0.01", "0.125", "0.10", "0.50"), long_prompt=(100_000, _price("0.05", "0.625", "0.50", "2.50"))
)
_HAIKU_4_5 = _price("0.10", "1.25", "1", "5")

_LARGE, _LONG = 1_000_000, 128_000


def _always(price: Price, *, forced: bool = False, bound: bool = True) -> Claude:
    return Claude(_profile(_LARGE, _LONG, price), forced=forced, bound=bound)


def _adaptive(price: Price, *, by_default: bool, sampling: bool = False, xhigh: bool = True) -> Claude:
    return Claude(
        _profile(_LARGE, _LONG, price, sampling=sampling),
        by_default=by_default,
        off="disabled",
        efforts=("low", "medium", "high", "xhigh") if xhigh else ("low", "medium", "high"),
        forced=True,
        bound=False,
    )


def _budget(
    price: Price, output: int = 64_000, *, structured: Literal["json_schema", "text"] = "json_schema"
) -> Claude:
    profile = replace(_profile(200_000, output, price, sampling=True), structured=structured)
    return Claude(profile, thinks="budget", by_default=False, off="disabled", efforts=(), forced=True, bound=False)


# From the vendor's model pages and its table of thinking configurations by model. The longest matching start counts.
_BY_START: dict[str, Claude] = {
    "claude-fable-5-2": _always(_FABLE_5_2),
    "claude-mythos-5-2": _always(_FABLE_5_2),
    "claude-fable-5-1": _always(_FABLE_5_1),
    "claude-mythos-5-1": _always(_FABLE_5_1),
    "claude-fable-5": _always(_FABLE_5, forced=True, bound=False),
    "claude-mythos-5": _always(_FABLE_5, forced=True, bound=False),
    "claude-opus-5-5": _always(_OPUS_5_5),
    "claude-sonnet-5-5": replace(_always(_SONNET_5_5), off="between_tools"),
    "claude-haiku-5-5": replace(_adaptive(_HAIKU_5_5, by_default=True), bound=True),
    "claude-opus-5": _adaptive(_OPUS_5, by_default=True),
    "claude-sonnet-5": _adaptive(_SONNET_5, by_default=True),
    "claude-opus-4-8": _adaptive(_OPUS_5, by_default=False),
    "claude-opus-4-7": _adaptive(_OPUS_5, by_default=False),
    "claude-opus-4-6": _adaptive(_OPUS_5, by_default=False, sampling=True, xhigh=False),
    "claude-sonnet-4-6": _adaptive(_SONNET_4, by_default=False, sampling=True, xhigh=False),
    "claude-opus-4-5": _budget(_OPUS_5),
    "claude-sonnet-4-5": _budget(_SONNET_4),
    "claude-haiku-4-5": _budget(_HAIKU_4_5),
    "claude-opus-4": _budget(_OPUS_4, 32_000, structured="text"),
    "claude-sonnet-4": _budget(_SONNET_4, structured="text"),
}
# A Claude nobody here has heard of is newer than these: as strict as the strictest of them, and a modest window.
_NEWER = Claude(_profile(200_000, 64_000, None), efforts=("low", "medium", "high"))
# Another vendor's model behind the same wire: what llama.cpp and its like understand of it.
_FOREIGN = Claude(
    Profile(32_768, 4_096, parallel_tool_calls=True, structured="text"),
    thinks=None,
    by_default=False,
    efforts=(),
    forced=True,
    bound=False,
    own=False,
)
_NAME = re.compile(r"claude-[a-z0-9.@_-]+")


def known_model(name: str) -> Claude | None:
    """The model of this name, however a reseller dresses it (`anthropic/claude-opus-4.5`, `…claude-opus-4@date`).

    None for a name that says nothing.
    """
    found = _NAME.search(name.lower())
    if found is None:
        return None
    plain = re.sub(r"[.@_]", "-", found[0])
    starts = [start for start in _BY_START if plain == start or plain.startswith(f"{start}-")]
    return _BY_START[max(starts, key=len)] if starts else None


def unknown_model(name: str) -> Claude:
    """What a model that is not in the table is taken for."""
    return _NEWER if _NAME.search(name.lower()) else _FOREIGN


def read_models(answer: object) -> Mapping[str, Claude]:
    """The models of one page of a listing, Anthropic's own or that of a server with its wire.

    Raises:
        InvalidReply: it is no listing.
    """
    listed = read_listing(answer)
    entries = answer.get("data") if isinstance(answer, dict) else None
    said = {entry["id"]: entry for entry in entries or () if isinstance(entry, dict) and entry.get("id") in listed}
    return {name: _listed(name, said.get(name, {}), listed[name].change) for name in listed}


def next_page(answer: object) -> str | None:
    """The name after which the next page of a listing begins; None after the last page."""
    if not isinstance(answer, dict) or answer.get("has_more") is not True:
        return None
    last = answer.get("last_id")
    if not isinstance(last, str) or not last:
        raise InvalidReply("the provider's list of models goes on nowhere")
    return last


def _listed(name: str, entry: dict[str, Any], common: ProfileChange) -> Claude:
    known = known_model(name)
    model = known or unknown_model(name)
    able = entry.get("capabilities")
    schemas = _supported(able, "structured_outputs")
    change = ProfileChange(
        context_window=_count(entry.get("max_input_tokens")),
        max_output_tokens=_count(entry.get("max_tokens")),
        images=_supported(able, "image_input"),
        reasoning=_supported(able, "thinking"),
        structured=None if schemas is None else "json_schema" if schemas else "text",
        display_name=entry["display_name"] if isinstance(entry.get("display_name"), str) else None,
    )
    model = replace(model, profile=change.applied(common.applied(model.profile)))
    return model if known else _as_it_says(model, able)


def _as_it_says(model: Claude, able: object) -> Claude:
    """A model that is not in the table, asked to think in the way its listing says it takes."""
    types = _within(_within(able, "thinking"), "types")
    if isinstance(types, dict):
        model = replace(
            model,
            thinks="adaptive" if _supported(types, "adaptive") else "budget" if _supported(types, "enabled") else None,
            by_default=bool(_supported(types, "adaptive")),
            off="disabled"
            if _supported(types, "disabled")
            else "between_tools"
            if _supported(types, "between_tools")
            else None,
        )
    efforts = _within(able, "effort")
    if isinstance(efforts, dict):
        words = ("low", "medium", "high", "xhigh")
        model = replace(model, efforts=tuple(word for word in words if _supported(efforts, word)))
    return model


def _within(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _supported(value: object, name: str) -> bool | None:
    said = _within(_within(value, name), "supported")
    return said if isinstance(said, bool) else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
