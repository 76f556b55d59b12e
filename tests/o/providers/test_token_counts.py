"""Which counter a profile's word gives, the exact one, and that a count is not made twice."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from o.domain.tokens import bound
from o.providers import token_counts
from o.providers.token_counts import counter

# Counted by llama.cpp's own /tokenize with SmolLM2-135M-Instruct.Q4_1.gguf.
LLAMA_CPP = {
    "": 0,
    "Hello": 1,
    "The bridge, built in 1937, isn't  closed.": 16,
    "SELECT c.name, count(*) AS orders, sum(o.total) AS spent FROM customers c JOIN orders o ON o.customer_id": 32,
    '{"name": "search", "arguments": {"query": "weather in Bern", "limit": 5}}': 23,
    "def f(x):\n    return x ** 2\n": 12,
    "Grüße aus Zürich, 你好, привет, שלום": 27,
    "👩\u200d👩\u200d👧\u200d👦 👍🏽\x00\t\t\r\n": 27,
    "<|im_start|>user\nno frame, but text<|im_end|>": 21,
    "a1b2c3d4-0f9e": 13,
}


@pytest.mark.parametrize("text", LLAMA_CPP)
def test_the_built_in_model_is_counted_as_llama_cpp_counts(text: str) -> None:
    assert counter("smollm2")(text) == LLAMA_CPP[text]


def test_the_built_in_models_counter_is_no_bound() -> None:
    text = "The committee met on Tuesday to discuss whether the bridge should be repaired. " * 20
    assert counter("smollm2")(text) < bound(text)


@pytest.mark.parametrize("tokenizer", ["o200k", "cl100k", "llama3", "qwen", "claude", "bound"])
def test_other_tokenizers_are_counted_by_their_own_bound(tokenizer: str) -> None:
    text = "def answer() -> int:\n    return 42  # जवाब, ответ, 答え\n"
    assert counter(tokenizer)(text) == bound(text, tokenizer)
    assert counter(tokenizer) is counter(tokenizer)


def test_a_word_nobody_knows_gives_the_bound() -> None:
    assert counter("sentencepiece")("Hello there") == bound("Hello there")


def test_without_the_model_its_texts_are_counted_by_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_counts, "find_spec", lambda name: None)
    text = "The committee met on Tuesday."
    assert counter.__wrapped__("smollm2")(text) == bound(text)


def test_a_text_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []

    def count(text: str, tokenizer: str) -> int:
        counted.append(text)
        return len(text)

    monkeypatch.setattr(token_counts, "bound", count)
    monkeypatch.setattr(token_counts, "_MOST_KEPT", 3)
    fresh = counter.__wrapped__("bound")
    assert [fresh("one"), fresh("two"), fresh("one")] == [3, 3, 3]
    assert counted == ["one", "two"]
    assert [fresh("three"), fresh("four"), fresh("one")] == [5, 4, 3]  # the fourth drops what was known before it
    assert counted == ["one", "two", "three", "four", "one"]


@settings(deadline=None)  # the first call loads the vocabulary
@given(st.text(st.characters(exclude_categories=()), max_size=200))
def test_any_string_has_an_exact_count(text: str) -> None:
    """A byte that its vocabulary lacks (U+0006) is no token, for llama.cpp neither."""
    tokens = counter("smollm2")(text)
    assert any(character.isprintable() for character in text) <= tokens <= len(text.encode(errors="replace"))


@pytest.mark.parametrize("unit", ["a", "\0", " ", "\ud800", "的", "e\u0301", "👩\u200d", "("])
@pytest.mark.parametrize("length", [60_000, 100_000])
def test_hostile_text_is_counted(unit: str, length: int) -> None:
    assert counter("smollm2")(unit * (length // len(unit))) > 100


def test_nothing_is_loaded_before_it_is_wanted() -> None:
    look = (
        "import sys; from o.providers.token_counts import counter; counter('o200k')('x'); "
        "assert 'tokenizers' not in sys.modules; counter('smollm2')('x'); assert 'tokenizers' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", look], check=True, timeout=60)
