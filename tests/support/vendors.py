"""Every vendor as the tests know it: its emulator, its provider, and where the real service is."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from o.providers.anthropic import anthropic_provider
from o.providers.base import Provider
from o.providers.dialects import Dialect
from o.providers.groq import groq_provider
from o.providers.ollama import ollama_provider
from o.providers.openai import OPENAI, openai_provider
from o.providers.presets import preset_provider
from o.providers.spec import ProviderSpec, Wire
from tests.emulators import anthropic_server, groq_server, ollama_server, openai_server


class Emulator(Protocol):
    """What all emulators have: their address, what they were asked, and whether somebody hung up on `stall`."""

    @property
    def url(self) -> str: ...

    @property
    def requests(self) -> list[dict[str, Any]]: ...

    @property
    def hung_up(self) -> Any: ...


@dataclass(frozen=True)
class Vendor:
    """One kind of provider.

    Attributes:
        model: one that the emulator serves like any other.
        real: a small model of the real service that calls tools.
        key_variable: where the key of the real service is looked for.
        lacks: faults that its wire cannot show.
    """

    name: str
    wire: Wire
    running: Callable[[], AbstractContextManager[Emulator]]
    key: str
    build: Callable[..., Provider]
    model: str
    real: str
    key_variable: str
    preset: str | None = None
    dialect: Dialect | None = None
    lacks: frozenset[str] = frozenset()

    def spec(self, url: str | None, key: str | None = None) -> ProviderSpec:
        """The provider at an address, with the emulator's key if none is given."""
        return ProviderSpec(
            self.name, self.wire, url, self.key if key is None else key, self.key_variable, preset=self.preset
        )

    def provider(self, spec: ProviderSpec, **more: Any) -> Provider:
        """A provider that gives up soon on a silent server."""
        given = {"first_timeout": 5.0, "idle_timeout": 0.5, **more}
        return self.build(spec, **(given | ({"dialect": self.dialect} if self.dialect else {})))


VENDORS = {
    vendor.name: vendor
    for vendor in (
        Vendor(
            "openai",
            "openai",
            openai_server.running,
            openai_server.KEY,
            partial(openai_provider, wire="chat"),
            "gpt-4o",
            "gpt-4o-mini",
            "OPENAI_API_KEY",
            dialect=OPENAI,
        ),
        Vendor(
            "openai-responses",
            "openai",
            openai_server.running,
            openai_server.KEY,
            partial(openai_provider, wire="responses"),
            "gpt-5.4",
            "gpt-5.4-nano",
            "OPENAI_API_KEY",
            dialect=OPENAI,
        ),
        Vendor(
            "anthropic",
            "anthropic",
            anthropic_server.running,
            anthropic_server.KEY,
            anthropic_provider,
            "claude-haiku-4-5-20251001",
            "claude-haiku-4-5",
            "ANTHROPIC_API_KEY",
        ),
        Vendor(
            "groq",
            "groq",
            groq_server.running,
            groq_server.KEY,
            groq_provider,
            "llama-3.3-70b-versatile",
            "llama-3.3-70b-versatile",
            "GROQ_API_KEY",
        ),
        Vendor(
            "ollama",
            "ollama",
            ollama_server.running,
            ollama_server.KEY,
            ollama_provider,
            "qwen3",
            "qwen3:0.6b",
            "OLLAMA_BASE_URL",
            lacks=frozenset({"400-filter", "filtered", "bad-arguments", "413"}),
        ),
        Vendor(
            "openrouter",
            "openai",
            openai_server.running,
            openai_server.KEY,
            preset_provider,
            "gpt-4o",
            "openai/gpt-4o-mini",
            "OPENROUTER_API_KEY",
            preset="openrouter",
        ),
    )
}


@contextmanager
def emulators() -> Iterator[dict[str, Emulator]]:
    """All emulators, by vendor; those of one wire share one."""
    with ExitStack() as stack:
        started: dict[object, Emulator] = {}
        for vendor in VENDORS.values():
            if vendor.running not in started:
                started[vendor.running] = stack.enter_context(vendor.running())
        yield {name: started[vendor.running] for name, vendor in VENDORS.items()}


def live() -> dict[str, ProviderSpec]:
    """The real services whose keys are in the environment."""
    found: dict[str, ProviderSpec] = {}
    for name, vendor in VENDORS.items():
        value = os.environ.get(vendor.key_variable)
        if value and vendor.key_variable.endswith("_URL"):
            found[name] = replace(vendor.spec(value), api_key=os.environ.get("OLLAMA_API_KEY"))
        elif value:
            found[name] = vendor.spec(None, value)
    return found
