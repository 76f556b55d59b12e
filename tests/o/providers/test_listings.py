"""What each service says of its models in its listing."""

from decimal import Decimal

import pytest

from o.domain.price import Price
from o.errors import InvalidReply
from o.providers.base import Profile
from o.providers.listings import Listed, read_listing
from o.providers.presets import PRESETS
from tests.emulators.openai_listings import listing


def _listed(flavour: str) -> dict[str, Listed]:
    not_chat = PRESETS[flavour].dialect.not_chat if flavour in PRESETS else ()
    return dict(read_listing(listing(flavour), not_chat))


def _profile(flavour: str, model: str) -> Profile:
    return _listed(flavour)[model].change.applied(PRESETS[flavour].dialect.profile)


def _kinds(flavour: str) -> dict[str, str]:
    return {name: listed.kind for name, listed in _listed(flavour).items()}


@pytest.mark.parametrize(
    ("flavour", "model", "window"),
    [
        ("openrouter", "anthropic/claude-sonnet-4.5", 200_000),
        ("together", "meta-llama/Llama-3.3-70B", 131_072),
        ("mistral", "mistral-large-latest", 131_072),
        ("gemini", "gemini-3-flash", 1_048_576),
        ("fireworks", "accounts/fireworks/models/kimi-k2", 262_144),
        ("deepseek", "deepseek-flash", 1_000_000),
        ("vllm", "Qwen/Qwen3-8B", 40_960),
        ("lmstudio", "qwen3-8b", 8_192),
        ("lmstudio", "gemma-3-4b", 131_072),
        ("llamacpp", "model.gguf", 8_192),
    ],
)
def test_the_window(flavour: str, model: str, window: int) -> None:
    profile = _profile(flavour, model)
    assert profile.context_window == window
    assert window // 16 <= profile.max_output_tokens < window


def test_openrouter_says_all_there_is_to_say() -> None:
    rich = _profile("openrouter", "anthropic/claude-sonnet-4.5")
    assert (rich.tools, rich.images, rich.reasoning, rich.structured) == ("native", True, True, "json_schema")
    assert (rich.max_output_tokens, rich.display_name) == (64_000, "Anthropic: Claude Sonnet 4.5")
    assert rich.price == Price(Decimal(3), Decimal(15), Decimal("0.3"), Decimal("3.75"))
    poor = _profile("openrouter", "small/text-only:free")
    assert (poor.tools, poor.images, poor.reasoning, poor.structured) == ("schema", False, False, "json_object")
    assert poor.price == Price(Decimal(0), Decimal(0))
    assert _profile("openrouter", "openrouter/auto").price is None, "it depends"


def test_prices_and_kinds_of_together() -> None:
    priced = _profile("together", "meta-llama/Llama-3.3-70B").price
    assert priced == Price(Decimal("0.88"), Decimal("0.88"), Decimal("0.44"))
    assert set(_kinds("together").values()) == {"language", "other", "embedding"}


def test_what_sees_and_what_calls() -> None:
    assert _profile("lmstudio", "gemma-3-4b").images
    assert not _profile("lmstudio", "qwen3-8b").images
    assert _profile("mistral", "mistral-large-latest").images
    assert _profile("mistral", "old").tools == "schema"


def test_kinds() -> None:
    assert _kinds("lmstudio")["text-embedding-nomic-embed-text-v1.5"] == "embedding"
    assert _kinds("mistral") == {
        "mistral-large-latest": "language",
        "old": "language",
        "mistral-embed": "embedding",
        "mistral-fim": "other",
    }
    assert _kinds("gemini") == {
        "gemini-3-flash": "language",
        "gemini-embedding-001": "embedding",
        "veo-3": "other",
    }
    assert _kinds("groq")["gone"] == "other"


@pytest.mark.parametrize("answer", [None, "x", {}, {"data": {}}, {"models": 5}])
def test_what_is_no_listing(answer: object) -> None:
    with pytest.raises(InvalidReply):
        read_listing(answer)


def test_odd_values_are_no_values() -> None:
    odd = {
        "id": "m",
        "context_length": True,
        "max_model_len": -1,
        "pricing": {"prompt": "x"},
        "architecture": 5,
        "name": 3,
    }
    change = read_listing([odd])["m"].change
    assert (change.context_window, change.price, change.images, change.display_name) == (None, None, None, None)
