"""What is known of OpenAI's models by the start of their names: windows, abilities, prices, efforts."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Literal

from o.domain.price import Price
from o.providers.base import Profile
from o.providers.dialects import Dialect, Known, nearest

# Of what the vendor's listing names, these are no chat models, work with tools of the vendor's alone (deep-research,
# computer-use), are for enrolled organisations (cyber, daybreak, rosalind), or cannot stream: the first `-pro` models
# answer after minutes of silence.
NOT_CHAT = (
    "audio",
    "babbage",
    "computer-use",
    "cyber",
    "dall-e",
    "davinci",
    "daybreak",
    "deep-research",
    "gpt-5-pro",
    "image",
    "-instruct",
    "moderation",
    "o1-pro",
    "o3-pro",
    "realtime",
    "rosalind",
    "search",
    "sora",
    "transcribe",
    "translate",
    "tts",
    "whisper",
)
_LONG_PROMPT = 272_000  # tokens; a prompt of more is priced as a long one
# https://developers.openai.com/api/docs/guides/embeddings
EMBEDDING_DIMENSIONS: Mapping[str, int] = {
    "text-embedding-3-small": 1_536,
    "text-embedding-3-large": 3_072,
    "text-embedding-ada-002": 1_536,
}


def openai_models(base: Dialect) -> Mapping[str, Known]:
    """The vendor's models by the start of their names, each with its own way of `base`.

    Those that reason are for the Responses API (https://developers.openai.com/api/docs/guides/reasoning). What chat
    completions refuse them is for gateways that have nothing else.

    From https://developers.openai.com/api/docs/models and /pricing, 2026-11-21: USD per million tokens, standard
    processing.
    """
    # `verbosity` and reasoning came with gpt-5; what was before refuses the words. `phase` came with gpt-5.3-codex.
    unphased = replace(base, fields={**base.fields, "phase": None})
    plain = replace(unphased, fields={**unphased.fields, "verbosity": None})
    old = replace(plain, efforts=nearest("low", "medium", "high"))
    o_series = replace(old, fields={**old.fields, "parallel_tool_calls": None})  # it refuses the word
    first = replace(unphased, efforts=nearest("minimal", "low", "medium", "high"))
    second = replace(unphased, efforts=nearest("none", "low", "medium", "high"))
    third = replace(unphased, efforts=nearest("none", "low", "medium", "high", "xhigh"))
    codex = replace(plain, efforts=nearest("low", "medium", "high"))
    long_codex = replace(plain, efforts=nearest("low", "medium", "high", "xhigh"))
    # On chat completions these take tools only when they do not think, and they think unless told not to:
    # https://developers.openai.com/api/docs/models/gpt-6-sol.md
    fourth = replace(base, efforts=third.efforts, thoughtless="tools")
    sixth = replace(fourth, efforts=nearest("none", "low", "medium", "high", "xhigh", "max"))
    # These always think: https://developers.openai.com/api/docs/models/gpt-6.2-sol.md
    ever = replace(fourth, efforts=nearest("low", "medium", "high", "xhigh", "max"))
    pro = replace(unphased, efforts=nearest("medium", "high", "xhigh"))
    long_pro = replace(fourth, efforts=pro.efforts)
    return {
        "gpt-3.5-turbo": Known(
            _chat(16_385, 4_096, "0.5", "1.5", sees=False, form="json_object", words="cl100k"), plain
        ),
        "gpt-4": Known(_chat(8_192, 8_192, "30", "60", sees=False, form="text", words="cl100k"), plain),
        "gpt-4-turbo": Known(_chat(128_000, 4_096, "10", "30", form="json_object", words="cl100k"), plain),
        "gpt-4o": Known(_chat(128_000, 16_384, "2.5", "10", "1.25"), plain),
        "gpt-4o-2024-05-13": Known(_chat(128_000, 4_096, "5", "15", form="json_object"), plain),
        "gpt-4o-mini": Known(_chat(128_000, 16_384, "0.15", "0.6", "0.075"), plain),
        "gpt-4.1": Known(_chat(1_047_576, 32_768, "2", "8", "0.5"), plain),
        "gpt-4.1-mini": Known(_chat(1_047_576, 32_768, "0.4", "1.6", "0.1"), plain),
        "gpt-4.1-nano": Known(_chat(1_047_576, 32_768, "0.1", "0.4", "0.025"), plain),
        "o1": Known(_thinker(200_000, "15", "60", "7.5", output=100_000, parallel=False), o_series),
        "o3": Known(_thinker(200_000, "2", "8", "0.5", output=100_000, parallel=False), o_series),
        "o3-mini": Known(_thinker(200_000, "1.1", "4.4", "0.55", output=100_000, parallel=False, sees=False), o_series),
        "o4-mini": Known(_thinker(200_000, "1.1", "4.4", "0.275", output=100_000, parallel=False), o_series),
        "gpt-5": Known(_thinker(400_000, "1.25", "10", "0.125"), first),
        "gpt-5-mini": Known(_thinker(400_000, "0.25", "2", "0.025"), first),
        "gpt-5-nano": Known(_thinker(400_000, "0.05", "0.4", "0.005"), first),
        "gpt-5-chat": Known(_instant("1.25", "10", "0.125", tools="schema"), plain),
        "gpt-5-codex": Known(_thinker(400_000, "1.25", "10", "0.125"), codex),
        "gpt-5.1": Known(_thinker(400_000, "1.25", "10", "0.125"), second),
        "gpt-5.1-chat": Known(_instant("1.25", "10", "0.125"), plain),
        "gpt-5.1-codex": Known(_thinker(400_000, "1.25", "10", "0.125"), codex),
        "gpt-5.1-codex-max": Known(_thinker(400_000, "1.25", "10", "0.125"), long_codex),
        "gpt-5.1-codex-mini": Known(_thinker(400_000, "0.25", "2", "0.025"), codex),
        "gpt-5.2": Known(_thinker(400_000, "1.75", "14", "0.175"), third),
        "gpt-5.2-chat": Known(_instant("1.75", "14", "0.175"), plain),
        "gpt-5.2-codex": Known(_thinker(400_000, "1.75", "14", "0.175"), long_codex),
        "gpt-5.2-pro": Known(_thinker(400_000, "21", "168", None, form="text"), pro),
        "gpt-5.3-chat": Known(_instant("1.75", "14", "0.175"), plain),
        "gpt-5.3-codex": Known(
            _thinker(400_000, "1.75", "14", "0.175"), replace(long_codex, fields={**base.fields, "verbosity": None})
        ),
        "gpt-5.4": Known(_thinker(1_050_000, "2.5", "15", "0.25"), fourth),
        "gpt-5.4-mini": Known(_thinker(400_000, "0.75", "4.5", "0.075"), fourth),
        "gpt-5.4-nano": Known(_thinker(400_000, "0.2", "1.25", "0.02"), fourth),
        "gpt-5.4-pro": Known(_thinker(1_050_000, "30", "180", None, form="text"), long_pro),
        "gpt-5.5": Known(_thinker(1_050_000, "5", "30", "0.5"), fourth),
        "gpt-5.5-pro": Known(_thinker(1_050_000, "30", "180", None, form="text"), long_pro),
        "gpt-5.6": Known(_thinker(1_050_000, "4", "20", "0.4", "5"), sixth),  # the name stands for -sol
        "gpt-5.6-terra": Known(_thinker(1_050_000, "2", "12", "0.2", "2.5"), sixth),
        "gpt-5.6-luna": Known(_thinker(1_050_000, "0.2", "1.2", "0.02", "0.25"), sixth),
        "gpt-6-sol": Known(_thinker(1_050_000, "2", "10", "0.2", "2.5"), sixth),
        "gpt-6-luna": Known(_thinker(1_050_000, "0.1", "0.5", "0.01", "0.125"), sixth),
        # Of what comes after, the price alone is not known.
        "gpt-6": Known(replace(_thinker(1_050_000, "0", "0", "0"), price=None), ever),
        "gpt-6-astra": Known(_thinker(1_050_000, "10", "50", "1", "12.5"), ever),
        "gpt-6.1-sol": Known(_thinker(1_050_000, "2", "10", "0.1", "2.5"), ever),
        "gpt-6.1-terra": Known(_thinker(1_050_000, "1", "5", "0.05", "1.25"), ever),
        "gpt-6.2-sol": Known(_thinker(1_050_000, "2", "10", "0.1", "2.5"), ever),
    }


def _price(prompt: str, reply: str, read: str | None, written: str | None) -> Price:
    cached, write = (None if each is None else Decimal(each) for each in (read, written))
    return Price(Decimal(prompt), Decimal(reply), cached, write)


def _dearer(price: Price) -> Price:
    """The price with that of long prompts: twice as much for all that is read, half as much again for the reply."""
    cached, write = (None if each is None else 2 * each for each in (price.cached_input, price.cache_write))
    longer = Price(2 * price.input, Decimal("1.5") * price.output, cached, write)
    return replace(price, long_prompt=(_LONG_PROMPT, longer))


def _chat(
    window: int,
    output: int,
    prompt: str,
    reply: str,
    read: str | None = None,
    *,
    sees: bool = True,
    form: Literal["json_schema", "json_object", "text"] = "json_schema",
    words: str = "o200k",
) -> Profile:
    price = _price(prompt, reply, read, None)
    return Profile(window, output, parallel_tool_calls=True, images=sees, structured=form, tokenizer=words, price=price)


def _instant(prompt: str, reply: str, read: str, *, tools: Literal["native", "schema"] = "native") -> Profile:
    """The model behind a version of ChatGPT (`…-chat-latest`), which does not think aloud."""
    return replace(_chat(128_000, 16_384, prompt, reply, read), tools=tools, sampling=False)


def _thinker(
    window: int,
    prompt: str,
    reply: str,
    read: str | None,
    written: str | None = None,
    *,
    output: int = 128_000,
    parallel: bool = True,
    sees: bool = True,
    form: Literal["json_schema", "text"] = "json_schema",
) -> Profile:
    """A model that reasons: it refuses a temperature and its like. Those with a window of a million have two prices."""
    price = _price(prompt, reply, read, written)
    return Profile(
        window,
        output,
        parallel_tool_calls=parallel,
        reasoning=True,
        images=sees,
        structured=form,
        sampling=False,
        tokenizer="o200k",
        price=_dearer(price) if window > 1_000_000 else price,
    )
