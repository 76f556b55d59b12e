"""Which providers a worker's settings enable, and how each is built. Vendors' SDKs are loaded when first asked."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import httpx2
from pydantic import SecretStr

from o.guard.policy import Guard, parse_allowed
from o.guard.transport import transport, transport2
from o.providers.anthropic import anthropic_provider
from o.providers.groq import groq_provider
from o.providers.local import LocalProvider
from o.providers.ollama import ollama_provider
from o.providers.openai import openai_provider
from o.providers.presets import PRESETS, preset_provider
from o.providers.registry import Builder, Providers
from o.providers.scripted import ScriptedProvider
from o.providers.spec import ProviderSpec, Wire
from o.settings import Settings, variable

# Vendors with an SDK of their own: a key or an address enables them.
_VENDORS: tuple[Wire, ...] = ("openai", "anthropic", "groq", "ollama")


def providers_from(settings: Settings) -> Providers:
    """The providers of a worker."""
    guard = Guard(parse_allowed(settings.allowed_hosts))

    def local() -> LocalProvider:
        return LocalProvider(settings.local_model_socket, built_in=settings.local_model is None)

    enabled_by = {name: preset.key_variable or preset.url_variable or "" for name, preset in PRESETS.items()}
    enabled_by |= {wire: variable(f"{wire}_{'base_url' if wire == 'ollama' else 'api_key'}") for wire in _VENDORS}
    return Providers(specs_from(settings), builders(guard, local, settings.scripted_journal), enabled_by)


def builders(guard: Guard, local: Callable[[], LocalProvider], journal: Path | None) -> dict[str, Builder]:
    """How a provider of each wire is built. Addresses that users gave are reached through the guard alone.

    Args:
        local: makes a provider of the local model process.
        journal: file to which the scripted model notes requests.
    """

    def guarded(spec: ProviderSpec) -> Callable[[], httpx.AsyncBaseTransport] | None:
        return (lambda: transport(guard)) if spec.guarded else None

    def guarded2(spec: ProviderSpec) -> Callable[[], httpx2.AsyncBaseTransport] | None:
        return (lambda: transport2(guard)) if spec.guarded else None

    return {
        "openai": lambda spec: (preset_provider if spec.preset else openai_provider)(spec, transport=guarded2(spec)),
        "anthropic": lambda spec: anthropic_provider(spec, transport=guarded2(spec)),
        "groq": lambda spec: groq_provider(spec, transport=guarded(spec)),
        "ollama": lambda spec: ollama_provider(spec, transport=guarded(spec)),
        "local": lambda spec: local(),
        "scripted": lambda spec: ScriptedProvider(journal=journal),
    }


def specs_from(settings: Settings) -> Iterator[ProviderSpec]:
    """Those that are always there, and those the environment gives a key or an address for."""
    yield ProviderSpec("local", "local")
    yield ProviderSpec("scripted", "scripted")
    for wire in _VENDORS:
        key, url = getattr(settings, f"{wire}_api_key"), getattr(settings, f"{wire}_base_url")
        if key is not None or url is not None:
            yield ProviderSpec(wire, wire, url, _secret(key), variable(f"{wire}_api_key"))
    for name, preset in PRESETS.items():
        key = getattr(settings, f"{name}_api_key", None)
        url = getattr(settings, f"{name}_base_url", None)
        if key is not None or url is not None:
            yield ProviderSpec(name, "openai", url, _secret(key), preset.key_variable, preset=name)


def _secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value().strip() if value is not None else None  # files of variables have line ends
