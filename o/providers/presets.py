"""Services and servers that speak OpenAI's wire and are known by name: where they are, and how they differ."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from o.errors import NotFound
from o.providers.base import Profile
from o.providers.chat import ChatProvider
from o.providers.dialects import COMPATIBLE, Dialect, nearest
from o.providers.openai_chat import FIRST_TIMEOUT, IDLE_TIMEOUT, openai_chat
from o.providers.spec import ProviderSpec


@dataclass(frozen=True, slots=True)
class Preset:
    """One service or server.

    Attributes:
        display_name: as its makers write it.
        base_url: where it is; a server of one's own is where its maker has it listen.
        dialect: how it speaks.
        key_variable: the environment variable with its key; None for a server of one's own, which asks for none.
        url_variable: the variable that says where it is; a server of one's own is there only if this is set.
    """

    display_name: str
    base_url: str
    dialect: Dialect
    key_variable: str | None = None
    url_variable: str | None = None


def _when_thinking(*taken: str) -> Mapping[str, str]:
    """Efforts where thinking is switched off by another field."""
    return {wanted: word for wanted, word in nearest(*taken).items() if wanted != "none"}


_GRADES = nearest("low", "medium", "high")
# Qwen, GLM and DeepSeek at vLLM, SGLang and llama.cpp are switched by a variable of their templates:
# https://docs.vllm.ai/en/latest/features/reasoning_outputs.html
# https://docs.sglang.ai/advanced_features/separate_reasoning.html
# https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
_TEMPLATE_SWITCH = {on: {"chat_template_kwargs": {"enable_thinking": on}} for on in (True, False)}

# https://openrouter.ai/docs/guides/best-practices/reasoning-tokens: effort by `reasoning`, blocks to be returned.
_OPENROUTER = replace(
    COMPATIBLE,
    fields={"reasoning_effort": "reasoning.effort"},
    efforts=nearest("none", "minimal", "low", "medium", "high", "xhigh"),
    thinking={True: {"reasoning": {"enabled": True}}},
    signs="reasoning_details",
)
# https://docs.together.ai/docs/reasoning: `reasoning.enabled` for hybrid models, `reasoning_effort` for gpt-oss.
_TOGETHER = replace(
    COMPATIBLE,
    efforts=_when_thinking("low", "medium", "high"),
    thinking={on: {"reasoning": {"enabled": on}} for on in (True, False)},
)
# https://api-docs.deepseek.com/guides/thinking_mode: it thinks unless told not to, refuses a demanded call while it
# thinks, and wants what it thought before every call back. https://api-docs.deepseek.com/guides/json_mode: no schemas.
# The window is of https://api-docs.deepseek.com/quick_start/pricing; the listing has none.
_DEEPSEEK = replace(
    COMPATIBLE,
    profile=Profile(1_000_000, 65_536, parallel_tool_calls=True, reasoning=True, structured="json_object"),
    fields={"verbosity": None, "parallel_tool_calls": None, "seed": None},
    efforts=_when_thinking("low", "high", "max"),
    thinking={on: {"thinking": {"type": "enabled" if on else "disabled"}} for on in (True, False)},
    thoughtless="demanded",
    replay="reasoning_content",
    replay_always=True,
    names=False,
    weak=False,
)
# https://docs.mistral.ai/api: a field it does not know is refused (422), so are ids of calls of any other form and a
# user right after a tool (400, code 3230).
_MISTRAL = replace(
    COMPATIBLE,
    fields={"verbosity": None, "stream_options": None, "seed": "random_seed"},
    efforts={},
    required="any",
    complete=True,
    call_ids=re.compile(r"[A-Za-z0-9]{9}"),
    names=False,
    filler="OK.",
    weak=False,
    not_chat=("ocr", "moderation", "voxtral", "transcribe"),
)
# https://docs.x.ai/docs/guides/reasoning: reasoning models refuse penalties; most refuse an effort as well, and the
# listing does not say which. The owner of the provider can say more of a model.
_XAI = replace(
    COMPATIBLE,
    profile=Profile(131_072, 16_384, parallel_tool_calls=True),
    fields={"verbosity": None, "frequency_penalty": None, "reasoning_effort": None},
    not_chat=("image", "video", "imagine"),
    weak=False,
)
# https://ai.google.dev/gemini-api/docs/openai: a field it does not know is refused. Thinking cannot be switched off in
# most models; `minimal` is the least that all take.
_GEMINI = replace(
    COMPATIBLE,
    profile=Profile(1_048_576, 65_536, parallel_tool_calls=True, reasoning=True, images=True),
    fields={"verbosity": None, "parallel_tool_calls": None, "seed": None, "frequency_penalty": None},
    efforts=nearest("minimal", "low", "medium", "high"),
    signs="thought_signature",
    names=False,
    weak=False,
    not_chat=("imagen", "image", "veo", "-tts", "-live", "native-audio", "aqa", "lyria", "robotics", "computer-use"),
)
# https://docs.fireworks.ai/guides/reasoning
_FIREWORKS = replace(COMPATIBLE, efforts=nearest("none", "low", "medium", "high"), not_chat=("flux", "whisper"))
# https://inference-docs.cerebras.ai/api-reference/chat-completions: no penalties.
_CEREBRAS = replace(
    COMPATIBLE,
    profile=Profile(65_536, 16_384, parallel_tool_calls=True),
    fields={"max_tokens": "max_completion_tokens", "verbosity": None, "frequency_penalty": None},
    efforts=_GRADES,
    strict=True,
)
# https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html.
_VLLM = replace(COMPATIBLE, complete=True, efforts=_when_thinking("low", "medium", "high"), thinking=_TEMPLATE_SWITCH)
# https://lmstudio.ai/docs/developer/openai-compat: the tool choice is a word, and `json_object` is refused; its own
# listing, unlike OpenAI's, has windows: https://lmstudio.ai/docs/developer/rest/endpoints.
_LMSTUDIO = replace(COMPATIBLE, listing="/api/v0/models", named=False, object_form=False, efforts=_GRADES)
# https://github.com/ggml-org/llama.cpp/blob/master/docs/function-calling.md: a tool choice that is no word is ignored.
_LLAMACPP = replace(COMPATIBLE, efforts=_when_thinking("low", "medium", "high"), thinking=_TEMPLATE_SWITCH, named=False)

PRESETS: Mapping[str, Preset] = {
    "openrouter": Preset("OpenRouter", "https://openrouter.ai/api/v1", _OPENROUTER, "OPENROUTER_API_KEY"),
    "together": Preset("Together AI", "https://api.together.xyz/v1", _TOGETHER, "TOGETHER_API_KEY"),
    "deepseek": Preset("DeepSeek", "https://api.deepseek.com", _DEEPSEEK, "DEEPSEEK_API_KEY"),
    "mistral": Preset("Mistral AI", "https://api.mistral.ai/v1", _MISTRAL, "MISTRAL_API_KEY"),
    "xai": Preset("xAI", "https://api.x.ai/v1", _XAI, "XAI_API_KEY"),
    "gemini": Preset("Gemini", "https://generativelanguage.googleapis.com/v1beta/openai", _GEMINI, "GEMINI_API_KEY"),
    "fireworks": Preset("Fireworks AI", "https://api.fireworks.ai/inference/v1", _FIREWORKS, "FIREWORKS_API_KEY"),
    "cerebras": Preset("Cerebras", "https://api.cerebras.ai/v1", _CEREBRAS, "CEREBRAS_API_KEY"),
    "vllm": Preset("vLLM", "http://127.0.0.1:8000/v1", _VLLM, url_variable="VLLM_BASE_URL"),
    "sglang": Preset("SGLang", "http://127.0.0.1:30000/v1", _VLLM, url_variable="SGLANG_BASE_URL"),
    "lmstudio": Preset("LM Studio", "http://127.0.0.1:1234/v1", _LMSTUDIO, url_variable="LMSTUDIO_BASE_URL"),
    "llamacpp": Preset("llama.cpp", "http://127.0.0.1:8080/v1", _LLAMACPP, url_variable="LLAMACPP_BASE_URL"),
}
# What Letta calls them.
LETTAS_NAMES = {"lmstudio_openai": "lmstudio", "google_ai": "gemini"}


def preset(name: str) -> Preset:
    """The preset of a name, Letta's names included.

    Raises:
        NotFound: there is none.
    """
    if (found := PRESETS.get(LETTAS_NAMES.get(name, name))) is None:
        raise NotFound(f"there is no service '{name[:100]}' known by name; there are: {', '.join(PRESETS)}")
    return found


def preset_provider(
    spec: ProviderSpec,
    *,
    transport: Callable[[], Any] | None = None,
    first_timeout: float = FIRST_TIMEOUT,
    idle_timeout: float = IDLE_TIMEOUT,
) -> ChatProvider:
    """The provider of a spec that names a preset. The other arguments are as in `openai_chat`.

    Raises:
        NotFound: there is no such preset.
    """
    known = preset(spec.preset or "")
    base_url = spec.base_url or known.base_url
    if known.key_variable is None and urlsplit(base_url).path in ("", "/"):
        base_url = base_url.rstrip("/") + "/v1"  # every server of one's own has it there, and it is often forgotten
    return openai_chat(
        spec,
        base_url,
        known.dialect,
        lambda model: None,  # names mean other models here, or the same ones at other terms
        transport=transport,
        first_timeout=first_timeout,
        idle_timeout=idle_timeout,
    )
