"""What is known of the models that speak OpenAI's wire: windows and abilities by the start of a model's name."""

from collections.abc import Mapping

from o.providers.base import Profile

# A model nobody here has heard of: small enough to be safe with nearly any, and an overflow only costs a retry
# with a smaller window. Whoever knows better passes a profile to `OpenAIProvider`.
UNKNOWN = Profile(context_window=32_768, max_output_tokens=4_096, parallel_tool_calls=True)


def _chat(window: int, output: int, *, images: bool = True) -> Profile:
    return Profile(window, output, parallel_tool_calls=True, images=images)


def _reasoning(window: int, output: int, *, images: bool = True, parallel: bool = False) -> Profile:
    return Profile(window, output, parallel_tool_calls=parallel, reasoning=True, images=images)


# From the vendor's model pages. The longest matching start counts.
_BY_START: dict[str, Profile] = {
    "gpt-3.5-turbo": _chat(16_385, 4_096, images=False),
    "gpt-4": _chat(8_192, 8_192, images=False),
    "gpt-4-turbo": _chat(128_000, 4_096),
    "gpt-4o": _chat(128_000, 16_384),
    "gpt-4.1": _chat(1_047_576, 32_768),
    "gpt-5": _reasoning(400_000, 128_000, parallel=True),
    "gpt-5-chat": _chat(128_000, 16_384),
    "o1": _reasoning(200_000, 100_000),
    "o3": _reasoning(200_000, 100_000),
    "o3-mini": _reasoning(200_000, 100_000, images=False),
    "o4-mini": _reasoning(200_000, 100_000),
}
# Of what a model listing names, these are no chat models.
_NOT_CHAT = (
    "audio",
    "dall-e",
    "davinci",
    "babbage",
    "embedding",
    "image",
    "moderation",
    "realtime",
    "sora",
    "transcribe",
)
_NOT_CHAT_EITHER = ("tts", "whisper", "search", "computer-use", "codex", "-instruct", "deep-research", "-pro")


def profile_of(model: str, known: Mapping[str, Profile]) -> Profile:
    """The profile of a model: from `known` by its exact name, else from the table, else the safe bound."""
    if model in known:
        return known[model]
    starts = [start for start in _BY_START if model == start or model.startswith((f"{start}-", f"{start}."))]
    return _BY_START[max(starts, key=len)] if starts else UNKNOWN


def is_chat(model: str) -> bool:
    """Whether OpenAI's own listing means a model that answers chat completions, as far as its name tells."""
    return not any(word in model for word in (*_NOT_CHAT, *_NOT_CHAT_EITHER))
