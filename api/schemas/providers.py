"""Providers that people bring, and aliases, on the wire. A key comes in and never goes out."""

import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, SecretStr

from api.responses import timestamp
from api.schemas.common import Body, Count, Flag, FreeJson, Name, Shape
from o.contracts.models import PROVIDER_TYPES, ProviderState
from o.domain.json import JsonObject
from o.store.provider_records import AliasRecord, ProviderRecord

# The names of what every O has; a provider of such a name would hide it.
_RESERVED = frozenset({"local", "scripted"})

# Of a shorter key the hint would tell too much.
_HINT_FROM = 20


def _provider_name(value: str) -> str:
    if value in _RESERVED:
        raise ValueError(f"'{value}' is the name of something built in; take another")
    return value


def _provider_type(value: str) -> str:
    if value not in PROVIDER_TYPES:
        raise ValueError(f"must be one of: {', '.join(PROVIDER_TYPES)}; use openai for any server that speaks its wire")
    return value


def _key(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[\x21-\x7e]+", value.get_secret_value()):
        raise ValueError("may hold visible ASCII characters only, without spaces; was it cut or copied with its label?")
    return value


def _several(targets: list[str]) -> list[str]:
    if len(set(targets)) != len(targets):
        raise ValueError("names a model twice; leave one out")
    return targets


def _models(value: dict[str, "ModelChange"]) -> dict[str, "ModelChange"]:
    if len(value) > 200:
        raise ValueError("has more than 200 models; say only what O does not know")
    return value


ProviderName = Annotated[
    str,
    Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$", description="The part of its models' handles before the slash."),
    AfterValidator(_provider_name),
]
ProviderType = Annotated[
    str,
    Field(description="The wire it speaks, or the service it is.", json_schema_extra={"enum": list(PROVIDER_TYPES)}),
    AfterValidator(_provider_type),
]
ApiKey = Annotated[SecretStr, Field(min_length=1, max_length=4000), AfterValidator(_key)]
BaseUrl = Annotated[str, Field(min_length=1, max_length=2000)]
Dollars = Annotated[Decimal, Field(ge=0, max_digits=16, decimal_places=10, allow_inf_nan=False)]
Handle = Annotated[str, Field(pattern=r"^[^\s/\x00]+/[^\s\x00]+$", max_length=200, description="As provider/model.")]


class PriceChange(Body):
    """USD per million tokens; what is left out costs as other input."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Dollars
    output: Dollars
    cached_input: Dollars | None = None
    cache_write: Dollars | None = None


class ModelChange(Body):
    """What the provider's owner knows better of one model. A word nobody knows is refused: it would change nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    context_window: Count | None = None
    max_output_tokens: Count | None = None
    tools: Literal["native", "schema"] | None = None
    parallel_tool_calls: Flag | None = None
    reasoning: Flag | None = None
    begins_thinking: Flag | None = None
    images: Flag | None = None
    structured: Literal["json_schema", "json_object", "text"] | None = None
    sampling: Flag | None = None
    tokenizer: Name | None = None
    price: PriceChange | None = None
    display_name: Name | None = None


Models = Annotated[dict[Name, ModelChange], AfterValidator(_models)]


class CheckProvider(Body):
    """A provider to try before it is made."""

    provider_type: ProviderType
    api_key: ApiKey | None = None
    base_url: BaseUrl | None = None


class CreateProvider(CheckProvider):
    """A provider to make. Without key and base URL it is the environment's provider of that name with these limits."""

    name: ProviderName
    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    models: Models = Field(default_factory=dict)


class UpdateProvider(Body):
    """Changes to a provider: what is absent stays, null takes away. A new base URL needs its key again."""

    api_key: ApiKey | None = None
    base_url: BaseUrl | None = None
    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    models: Models | None = None


class Provider(Shape):
    """A provider that the organisation brought."""

    id: str
    name: str
    provider_type: str
    provider_category: Literal["byok"] = "byok"
    base_url: str | None
    key_hint: str | None
    requests_per_minute: int | None
    tokens_per_minute: int | None
    models: FreeJson
    last_checked_at: datetime | None
    last_error: str | None
    created_at: datetime
    updated_at: datetime


class Checked(Shape):
    """A provider that answered."""

    message: str
    models: int


class SetAlias(Body):
    """What a handle shall mean: models tried in this order. The handle may be its own first target."""

    handle: Handle
    targets: Annotated[list[Handle], Field(min_length=1, max_length=8), AfterValidator(_several)]


class Alias(Shape):
    """Another name for a model, or a fallback list for one."""

    handle: str
    targets: list[str]
    created_at: datetime
    updated_at: datetime


def stored_models(models: dict[str, ModelChange]) -> JsonObject:
    """As they are kept: prices as texts, what nobody said left out."""
    return {name: change.model_dump(mode="json", exclude_none=True) for name, change in models.items()}


def key_hint(key: str) -> str | None:
    """What may be shown of a key, so that people can tell theirs apart."""
    return f"{key[:3]}…{key[-4:]}" if len(key) >= _HINT_FROM else None


def print_provider(record: ProviderRecord) -> JsonObject:
    return {
        "id": record.id,
        "name": record.name,
        "provider_type": record.provider_type,
        "provider_category": "byok",
        "base_url": record.base_url,
        "key_hint": record.key_hint,
        "requests_per_minute": record.requests_per_minute,
        "tokens_per_minute": record.tokens_per_minute,
        "models": record.models,
        "last_checked_at": timestamp(record.last_checked_at),
        "last_error": record.last_error,
        "created_at": timestamp(record.created_at),
        "updated_at": timestamp(record.updated_at),
    }


def print_alias(record: AliasRecord) -> JsonObject:
    return {
        "handle": record.handle,
        "targets": record.targets,
        "created_at": timestamp(record.created_at),
        "updated_at": timestamp(record.updated_at),
    }


class ProviderStatus(Shape):
    """How a provider is now."""

    name: str
    provider_type: str
    provider_category: Literal["base", "byok"]
    status: Literal["ok", "error"]
    models: int
    embedding_models: int
    error: JsonObject | None = None


def print_state(state: ProviderState) -> JsonObject:
    return {
        "name": state.name,
        "provider_type": state.provider_type,
        "provider_category": state.provider_category,
        "status": "ok" if state.code is None else "error",
        "models": state.models,
        "embedding_models": state.embeddings,
        "error": None if state.code is None else {"type": state.code, "message": state.message},
    }
