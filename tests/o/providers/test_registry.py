"""Handles, listings, and providers that are out of order."""

import asyncio

import pytest

from o.errors import InvalidArgument, ModelUnavailable, NotFound
from o.providers import registry
from o.providers.base import Profile
from o.providers.registry import Providers
from o.providers.scripted import ScriptedProvider


class Dead(ScriptedProvider):
    closed = False

    async def models(self) -> dict[str, Profile]:
        raise ModelUnavailable("it is out of order")

    async def close(self) -> None:
        self.closed = True
        raise ModelUnavailable("it cannot even close")


class Stuck(ScriptedProvider):
    async def models(self) -> dict[str, Profile]:
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_handle_is_split_at_its_first_slash() -> None:
    scripted = ScriptedProvider()
    providers = Providers({"scripted": scripted}, {})
    assert providers.resolve("scripted/a/b") == (scripted, "a/b")
    assert (await providers.profile("scripted/echo")).context_window == 128_000
    for bad in ("scripted", "", "/echo", "scripted/"):
        with pytest.raises(InvalidArgument):
            providers.resolve(bad)


def test_an_unknown_provider_says_what_enables_it() -> None:
    with pytest.raises(NotFound, match=r"scripted.*OPENAI_API_KEY"):
        Providers({"scripted": ScriptedProvider()}, {}).resolve("openai/gpt-4o")
    with pytest.raises(NotFound, match="there are: none"):
        Providers({}, {}).embedder("local/other")


async def test_dead_providers_are_left_out_of_the_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_LISTING_TIMEOUT", 0.05)
    providers = Providers({"dead": Dead(), "stuck": Stuck(), "scripted": ScriptedProvider()}, {})
    assert set(await providers.models()) == {"scripted/echo", "scripted/json", "scripted/silent"}


async def test_all_are_closed_even_if_one_fails() -> None:
    first, second = Dead(), Dead()
    with pytest.raises(ModelUnavailable):
        await Providers({"a": first, "b": second}, {}).close()
    assert first.closed
    assert second.closed
