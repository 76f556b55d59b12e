"""What one door to all SDKs sees to: nothing of the operator's goes to a user's server, and no key into an error."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from o.domain.model import Finished
from o.errors import ContextOverflow, ModelAuthentication, ModelBadRequest, ModelRateLimited
from o.providers.anthropic import anthropic_provider
from o.providers.base import Provider
from o.providers.groq import groq_provider
from o.providers.ollama import ollama_provider
from o.providers.openai import openai_provider
from o.providers.presets import preset_provider
from o.providers.spec import ProviderSpec
from tests.emulators.openai_server import KEY, Emulator
from tests.emulators.requests import gather, request
from tests.emulators.serving import serving

Factory = Callable[..., Provider]
# Every vendor's provider, and the HTTP library it stands on.
FACTORIES: dict[str, tuple[Factory, Any]] = {
    "openai": (openai_provider, httpx2),
    "anthropic": (anthropic_provider, httpx2),
    "groq": (groq_provider, httpx),
    "ollama": (ollama_provider, httpx),
}


@pytest.fixture(params=FACTORIES)
def vendor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _causes(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield repr(error)
        error = error.__cause__ or error.__context__


async def test_what_the_environment_has_an_sdk_add_does_not_go_to_a_users_server(
    vendor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "ANTHROPIC_AUTH_TOKEN", "OLLAMA_API_KEY"):
        monkeypatch.setenv(name, "the-operators")
    for name in ("OPENAI", "ANTHROPIC", "GROQ"):
        monkeypatch.setenv(f"{name}_CUSTOM_HEADERS", "x-gateway: the-operators")
    build, http = FACTORIES[vendor]
    sent: list[str] = []

    def answer(asked: Any) -> Any:
        sent.append(str(asked.headers.raw))
        return http.Response(400, json={"error": {"message": "no"}})

    spec = ProviderSpec(vendor, "openai", "https://users.example/v1", "sk-users", guarded=True)
    provider = build(spec, transport=lambda: http.MockTransport(answer))
    with pytest.raises(ModelBadRequest):
        await gather(provider.stream(request("gpt-4o", "hi")))
    assert sent
    assert "sk-users" in sent[0]
    assert "the-operators" not in "".join(sent)
    await provider.close()


async def test_nor_does_it_go_to_another_service_of_the_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "the-operators")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "x-gateway: the-operators")
    sent: list[str] = []

    async def answer(asked: Request) -> JSONResponse:
        sent.append(str(asked.headers.raw))
        return JSONResponse({"error": {"message": "no"}}, 400)

    with serving(Starlette(routes=[Route("/v1/chat/completions", answer, methods=["POST"])])) as root:
        for build, preset, goes in ((preset_provider, "together", False), (openai_provider, None, True)):
            provider = build(ProviderSpec("x", "openai", f"{root}/v1", "sk-ours", preset=preset))
            with pytest.raises(ModelBadRequest):
                await gather(provider.stream(request("gpt-4o", "hi")))
            assert ("the-operators" in sent.pop()) is goes
            await provider.close()


@pytest.mark.parametrize("key", ["sk-secret\n", "sk-secret\r", "sk- secret", "sk-sécret"])
async def test_a_key_that_cannot_be_sent_is_refused_without_being_told(vendor: str, key: str) -> None:
    provider = FACTORIES[vendor][0](ProviderSpec(vendor, "openai", "http://127.0.0.1:1", key, "THE_VARIABLE"))
    for asked in (provider.models(), gather(provider.stream(request("gpt-4o", "hi")))):
        with pytest.raises(ModelAuthentication, match="THE_VARIABLE") as caught:
            await asked
        assert "cret" not in "".join(_causes(caught.value))
    await provider.close()


async def test_an_address_that_is_none_is_the_requests_fault(vendor: str) -> None:
    provider = FACTORIES[vendor][0](ProviderSpec(vendor, "openai", "http://host:port/v1", "sk-users"))
    with pytest.raises(ModelBadRequest, match="no URL"):
        await provider.models()
    await provider.close()


async def test_who_reads_a_whole_reply_may_take_its_time(emulator: Emulator) -> None:
    provider = openai_provider(ProviderSpec("v", "openai", f"{emulator.url}/v1", KEY), first_timeout=0.3)
    events = provider.stream(request("one-json", "hi"))
    await anext(events)
    await asyncio.sleep(0.5)  # longer than the server may take: a timer that still ran would cancel this task
    assert [event for event in [each async for each in events] if isinstance(event, Finished)]
    await provider.close()


async def test_no_wait_is_longer_than_can_be_told() -> None:
    refusal = httpx2.Response(429, json={"error": {}}, headers={"retry-after": "99999999999999999"})
    transport = httpx2.MockTransport(lambda asked: refusal)
    provider = openai_provider(ProviderSpec("v", "openai", "https://x.example/v1", "k"), transport=lambda: transport)
    with pytest.raises(ModelRateLimited) as caught:
        await gather(provider.stream(request("gpt-4o", "hi")))
    assert timedelta(seconds=caught.value.retry_after or 0) > timedelta(days=1)
    await provider.close()


async def test_a_request_larger_than_a_minutes_tokens_is_too_long() -> None:
    """OpenAI's 429 says so in prose alone; waiting a minute does not help."""
    words = (
        "Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Requested 34892. "
        "The input or output tokens must be reduced in order to run successfully."
    )
    body = {"error": {"message": words, "type": "tokens", "param": None, "code": "rate_limit_exceeded"}}
    transport = httpx2.MockTransport(lambda asked: httpx2.Response(429, json=body, headers={"retry-after": "60"}))
    provider = openai_provider(ProviderSpec("v", "openai", "https://x.example/v1", "k"), transport=lambda: transport)
    with pytest.raises(ContextOverflow):
        await gather(provider.stream(request("gpt-4o", "hi")))
    await provider.close()
