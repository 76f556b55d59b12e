"""What is known of Groq's models by the start of their names: windows, abilities, prices, efforts."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from o.domain.price import Price
from o.providers.base import Profile
from o.providers.dialects import Dialect, Known, nearest

# Of what the vendor's listing names, these are no chat models, or (compound) take no tools of ours.
NOT_CHAT = ("whisper", "orpheus", "playai", "tts", "guard", "safeguard", "compound", "allam")


def groq_models(base: Dialect) -> Mapping[str, Known]:
    """The vendor's models by the start of their names, each with its own way of `base`.

    From https://console.groq.com/docs/models, /docs/reasoning, /docs/structured-outputs and
    https://groq.com/pricing, 2026-11-21: USD per million tokens. The listing has windows, but no abilities.
    """
    # gpt-oss gives its thoughts apart of itself, and refuses `reasoning_format`; Qwen writes them into its text
    # unless told to give them apart (`parsed`).
    thinking = replace(base, replay="reasoning")
    oss = replace(thinking, efforts=nearest("low", "medium", "high"))
    switch = {"none": "none"} | dict.fromkeys(("minimal", "low", "medium", "high", "xhigh", "max"), "default")
    qwen = replace(thinking, efforts=switch, always={"reasoning_format": "parsed"})
    graded = replace(qwen, efforts=nearest("none", "low", "medium", "high"))
    gpt_oss = Profile(131_072, 65_536, reasoning=True, structured="json_schema", tokenizer="o200k")
    open_model = Profile(131_072, 32_768, parallel_tool_calls=True, structured="json_object")
    thinker = replace(open_model, reasoning=True)
    return {
        "openai/gpt-oss-120b": Known(replace(gpt_oss, price=_price("0.15", "0.6", "0.075")), oss),
        "openai/gpt-oss-20b": Known(replace(gpt_oss, price=_price("0.075", "0.3", "0.0375")), oss),
        "llama-3.3-70b-versatile": Known(replace(open_model, price=_price("0.59", "0.79")), base),
        "llama-3.1-8b-instant": Known(
            replace(open_model, max_output_tokens=131_072, price=_price("0.05", "0.08")), base
        ),
        "meta-llama/llama-4-scout": Known(
            replace(open_model, max_output_tokens=8_192, images=True, structured="json_schema"), base
        ),
        "meta-llama/llama-4-maverick": Known(
            replace(open_model, max_output_tokens=8_192, images=True, structured="json_schema"), base
        ),
        "moonshotai/kimi-k2": Known(
            replace(open_model, context_window=262_144, max_output_tokens=16_384, structured="json_schema"), base
        ),
        "qwen/qwen3-32b": Known(replace(thinker, max_output_tokens=40_960, price=_price("0.29", "0.59")), qwen),
        "qwen/qwen3.6-27b": Known(
            replace(thinker, max_output_tokens=16_384, images=True, price=_price("0.6", "3")), qwen
        ),
        "qwen/qwen3.8-27b": Known(
            replace(thinker, max_output_tokens=16_384, images=True, price=_price("0.8", "4", "0.4")), graded
        ),
    }


def _price(prompt: str, reply: str, read: str | None = None) -> Price:
    return Price(Decimal(prompt), Decimal(reply), None if read is None else Decimal(read))
