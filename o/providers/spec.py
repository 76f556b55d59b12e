"""What a provider is made from: where it is, with which key, and what its owner says of its models."""

import hashlib
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Literal, Self, get_args

from o.domain.json import JsonObject
from o.domain.price import Price
from o.providers.base import Profile

Wire = Literal["openai", "anthropic", "groq", "ollama", "local", "scripted"]


@dataclass(frozen=True, slots=True)
class ProfileChange:
    """What the owner of a provider knows better of one model; None leaves what is known. As in `Profile`."""

    context_window: int | None = None
    max_output_tokens: int | None = None
    tools: Literal["native", "schema"] | None = None
    parallel_tool_calls: bool | None = None
    reasoning: bool | None = None
    begins_thinking: bool | None = None
    images: bool | None = None
    structured: Literal["json_schema", "json_object", "text"] | None = None
    sampling: bool | None = None
    tokenizer: str | None = None
    price: Price | None = None
    display_name: str | None = None

    @classmethod
    def of(cls, stored: JsonObject) -> Self:
        """A change as it is stored: fields of other names are ignored, a price is an object of decimal texts."""
        given = {name: stored[name] for name in cls.__slots__ if stored.get(name) is not None}
        if "price" in given:
            parts = {name: Decimal(value) for name, value in given["price"].items() if value is not None}
            given["price"] = Price(parts["input"], parts["output"], parts.get("cached_input"), parts.get("cache_write"))
        return cls(**given)

    def applied(self, profile: Profile) -> Profile:
        """The profile with these changes. Of a smaller window the longest reply is a quarter, unless it is named."""
        given = {name: value for name in self.__slots__ if (value := getattr(self, name)) is not None}
        smaller = self.context_window is not None and self.context_window < profile.context_window
        if smaller and self.max_output_tokens is None:
            given["max_output_tokens"] = min(profile.max_output_tokens, max(1, given["context_window"] // 4))
        return replace(profile, **given)


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """One provider as it was configured.

    Attributes:
        name: the part of its handles before the slash.
        wire: the protocol it speaks.
        base_url: None is the vendor's own.
        key_from: where the key came from, for messages: an environment variable, or words such as `the provider 'x'`.
        preset: the known service whose peculiarities apply, where it is one (`o.providers.presets`).
        guarded: whether its address was given by a user, so that the guard must vet every connection.
        requests_per_minute: most requests with this key in any minute, of all workers together; None is unlimited.
        tokens_per_minute: the same for tokens, prompts and replies together.
        changes: what the owner says of single models, as pairs of name and change.
    """

    name: str
    wire: Wire
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    key_from: str | None = None
    preset: str | None = None
    guarded: bool = False
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    changes: tuple[tuple[str, ProfileChange], ...] = ()

    @classmethod
    def of_type(cls, name: str, provider_type: str, **more: Any) -> Self:
        """The spec of a provider whose type is a wire, or the name of a known service (`o.providers.presets`)."""
        if provider_type in get_args(Wire):
            return cls(name, provider_type, **more)  # type: ignore[arg-type] # checked above
        return cls(name, "openai", preset=provider_type, **more)

    @property
    def bucket(self) -> str:
        """What its rate limits are counted under: the service and the key, as a digest that tells neither."""
        told = f"{self.wire}\0{self.preset}\0{self.base_url}\0{self.api_key}"
        return hashlib.sha256(told.encode()).hexdigest()[:32]
