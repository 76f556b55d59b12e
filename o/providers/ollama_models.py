"""What Ollama says of its models (`/api/show`), as profiles; and how it names them."""

from collections.abc import Mapping
from dataclasses import dataclass

from o.domain.json import JsonObject
from o.domain.model import Sampling
from o.providers.base import Profile

# Tokens. Ollama reserves memory for the whole window when it loads a model, so not every model gets all it could take;
# Ollama's own default is 4,096 on most machines, too few for an agent (docs/context-length of ollama/ollama).
WINDOW = 32_768

# For a server that does not say: what its hosted or newer brothers call the levels of the one family that has them.
_GPT_OSS_EFFORTS = ("low", "medium", "high")
_NEAREST = {"minimal": "low", "xhigh": "high"}


@dataclass(frozen=True, slots=True)
class Shown:
    """One model as its server describes it.

    Attributes:
        profile: meaningful for a model that completes.
        completes: whether it is a language model.
        embeds: whether it makes vectors.
        efforts: its names for how hard it thinks; empty where it only thinks or does not.
        hosted: whether it runs with Ollama's own service, which gives every model its whole window.
    """

    profile: Profile
    completes: bool
    embeds: bool
    efforts: tuple[str, ...] = ()
    hosted: bool = False


def full_name(model: str) -> str:
    """The name with its tag: `qwen3` is `qwen3:latest`."""
    return model if ":" in model.rpartition("/")[2] else f"{model}:latest"


def read_shown(answer: JsonObject, *, hosted: bool) -> Shown:
    """What an answer of `/api/show` says. Whatever is missing or of another type counts as not said."""
    found = _capabilities(answer)
    efforts, thinks = _thinking(answer, "thinking" in found)
    hosted = hosted or bool(answer.get("remote_host"))
    window = _window(answer, hosted=hosted)
    profile = Profile(
        context_window=window,
        max_output_tokens=max(window // 2, 1),  # only the window bounds a reply; the prompt needs room too
        tools="native" if "tools" in found else "schema",
        parallel_tool_calls="tools" in found,
        reasoning=thinks,
        images="vision" in found,
    )
    return Shown(profile, "completion" in found, "embedding" in found, efforts, hosted)


def think(sampling: Sampling, efforts: tuple[str, ...]) -> bool | str | None:
    """Ollama's `think`: whether, or how hard; None leaves it to the model."""
    effort = sampling.reasoning_effort
    if sampling.reasoning is False or effort == "none":
        return False
    if effort is None:
        return sampling.reasoning
    level = effort if effort in efforts else _NEAREST.get(effort, "")
    return level if level in efforts else True


def _capabilities(answer: JsonObject) -> frozenset[str]:
    said = answer.get("capabilities")
    if isinstance(said, list):
        return frozenset(word for word in said if isinstance(word, str))
    # Servers before 0.6.4 do not say. They derive it from these (server/images.go of ollama/ollama).
    found = {"embedding" if any(key.endswith(".pooling_type") for key in _model_info(answer)) else "completion"}
    if ".Tools" in str(answer.get("template", "")):
        found.add("tools")
    if answer.get("projector_info"):
        found.add("vision")
    return frozenset(found)


def _thinking(answer: JsonObject, capable: bool) -> tuple[tuple[str, ...], bool]:
    """The names of the levels of thinking, and whether it thinks at all."""
    thinking = answer.get("thinking")
    values = thinking.get("values") if isinstance(thinking, dict) else None
    if isinstance(values, list):
        return tuple(value for value in values if isinstance(value, str)), any(values)
    details = answer.get("details")
    family = str(details.get("family", "")) if isinstance(details, dict) else ""
    return (_GPT_OSS_EFFORTS if capable and family in ("gptoss", "gpt-oss") else ()), capable


def _window(answer: JsonObject, *, hosted: bool) -> int:
    """Tokens of prompt and reply: what the Modelfile sets, else what the model was made for up to a bound."""
    model_info = _model_info(answer)
    made_for = _positive(model_info.get(f"{model_info.get('general.architecture')}.context_length"))
    if hosted:
        return made_for or WINDOW
    # One parameter a line: its name, blanks, its value.
    lines = (line.split() for line in str(answer.get("parameters", "")).splitlines())
    set_to = next((int(line[1]) for line in lines if line[:1] == ["num_ctx"] and line[1:] and line[1].isdecimal()), 0)
    return min(made_for or set_to or WINDOW, set_to or WINDOW)


def _model_info(answer: JsonObject) -> Mapping[str, object]:
    model_info = answer.get("model_info")
    return model_info if isinstance(model_info, dict) else {}


def _positive(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
