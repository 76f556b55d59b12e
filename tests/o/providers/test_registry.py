"""Providers are built when first used, kept while used, asked seldom, and never in the way when they are dead."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from o.errors import ModelUnavailable, NotFound
from o.guard.policy import Guard
from o.providers import registry
from o.providers.base import Listing
from o.providers.local import LocalProvider
from o.providers.registry import Providers
from o.providers.scripted import ScriptedProvider
from o.providers.spec import ProviderSpec
from workers.vendors import builders


class Watched(ScriptedProvider):
    """Counts what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.closed = False

    async def models(self) -> Listing:
        self.asked += 1
        return await super().models()

    async def close(self) -> None:
        assert not self.closed, "closed twice"
        self.closed = True


class Dead(Watched):
    async def models(self) -> Listing:
        self.asked += 1
        raise ModelUnavailable("it is out of order")

    async def close(self) -> None:
        await super().close()
        raise ModelUnavailable("it cannot even close")


class Stuck(Watched):
    async def models(self) -> Listing:
        self.asked += 1
        await asyncio.Event().wait()
        raise AssertionError


SPEC = ProviderSpec("a", "openai")


def of(*providers: Watched) -> Providers:
    """A registry that builds these, one after another."""
    waiting: Iterator[Watched] = iter(providers)
    return Providers([SPEC], {"openai": lambda spec: next(waiting)})


async def test_a_provider_is_built_once_and_only_when_it_is_used() -> None:
    watched = Watched()
    providers = of(watched)
    for _ in range(2):
        async with providers.serving(SPEC) as served:
            assert served is watched
    await providers.close()
    assert watched.closed


async def test_another_key_is_another_provider() -> None:
    first, second = Watched(), Watched()
    providers = of(first, second)
    async with providers.serving(SPEC) as served, providers.serving(ProviderSpec("a", "openai", api_key="k")) as other:
        assert (served, other) == (first, second)
    await providers.close()


async def test_a_wire_that_nobody_speaks_is_not_found() -> None:
    with pytest.raises(NotFound, match="'b'"):
        async with Providers([], {}).serving(ProviderSpec("b", "groq")):
            raise AssertionError


async def test_a_listing_is_asked_for_once_a_minute_by_all_together() -> None:
    watched = Watched()
    providers = of(watched)
    listings = await asyncio.gather(*(providers.listing(SPEC) for _ in range(5)))
    assert all(heard.listing is not None and "echo" in heard.listing.language for heard in listings)
    assert watched.asked == 1
    providers.forget(SPEC)
    await providers.listing(SPEC)
    assert watched.asked == 2
    await providers.close()


@pytest.mark.parametrize(("provider", "says"), [(Dead(), "out of order"), (Stuck(), "did not say")])
async def test_a_dead_provider_is_told_of_and_left_alone_for_a_while(
    provider: Watched, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_LISTING_TIMEOUT", 0.05)
    providers = of(provider)
    for _ in range(2):
        heard = await providers.listing(SPEC)
        assert heard.listing is None
        assert heard.message is not None and says in heard.message
    assert provider.asked == 1


async def test_a_provider_that_cannot_be_built_is_told_of() -> None:
    def build(spec: ProviderSpec) -> Watched:
        raise ValueError("Invalid IPv6 URL")

    providers = Providers([SPEC], {"openai": build})
    heard = await providers.listing(SPEC)
    assert heard.listing is None
    assert heard.message is not None and "'a'" in heard.message


async def test_a_local_model_serves_again_after_it_was_closed(
    local_socket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_KEPT", 1)
    local = ProviderSpec("local", "local")
    providers = Providers([local], builders(Guard(), lambda: LocalProvider(local_socket), None))
    for spec in (local, ProviderSpec("scripted", "scripted"), local):
        async with providers.serving(spec) as served:
            if spec is local:
                assert len(await served.embedder("all-minilm-l6-v2").embed(["hello"])) == 1
    await providers.close()


async def test_who_is_slow_is_still_listened_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """An SDK that is loaded for the first time takes longer than anybody wants to wait for a list."""
    monkeypatch.setattr(registry, "_LISTING_WAIT", 0.01)
    spoken = asyncio.Event()

    class Slow(Watched):
        async def models(self) -> Listing:
            await spoken.wait()
            return await super().models()

    slow = Slow()
    providers = of(slow)
    heard = await providers.listing(SPEC)
    assert heard.listing is None
    assert heard.message is not None and "not said yet" in heard.message
    spoken.set()
    monkeypatch.setattr(registry, "_LISTING_WAIT", 5.0)
    assert (await providers.listing(SPEC)).listing is not None
    assert slow.asked == 1
    await providers.close()


async def test_the_longest_unused_is_closed_but_never_one_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_KEPT", 1)
    used, idle, latest = Watched(), Watched(), Watched()
    providers = of(used, idle, latest)
    async with providers.serving(SPEC):
        for key in ("one", "two"):
            async with providers.serving(ProviderSpec("a", "openai", api_key=key)):
                assert not used.closed
        assert idle.closed
        assert latest.closed
    assert not used.closed
    await providers.close()


async def test_all_are_closed_even_if_one_fails() -> None:
    first, second = Dead(), Dead()
    providers = of(first, second)
    for spec in (SPEC, ProviderSpec("a", "openai", api_key="k")):
        async with providers.serving(spec):
            pass
    with pytest.raises(ModelUnavailable):
        await providers.close()
    assert first.closed
    assert second.closed


def test_a_bucket_tells_neither_key_nor_address() -> None:
    spec = ProviderSpec("a", "openai", "https://here/v1", "sk-secret")
    assert "sk-secret" not in spec.bucket + repr(spec)
    assert spec.bucket == ProviderSpec("b", "openai", "https://here/v1", "sk-secret").bucket
    assert spec.bucket != ProviderSpec("a", "openai", "https://here/v1", "sk-other").bucket
