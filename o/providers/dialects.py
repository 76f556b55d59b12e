"""How servers that speak OpenAI's chat completions differ, and their models among themselves, as data."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from o.domain.json import JsonObject
from o.errors import ContextOverflow, ModelQuota, ModelRateLimited, ModelRefused, ModelUnavailable, ModelUnknown
from o.providers.base import Profile
from o.providers.failures import Refusals

# A model nobody here has heard of: small enough to be safe with nearly any, and an overflow only costs a retry
# with a smaller window. Whoever knows better says so with the provider's models.
UNKNOWN = Profile(context_window=32_768, max_output_tokens=4_096, parallel_tool_calls=True)

# From OpenAI's page on error codes; `exceed_context_size_error` is llama.cpp's.
REFUSALS = Refusals(
    by_code={
        "context_length_exceeded": ContextOverflow,
        "exceed_context_size_error": ContextOverflow,
        "string_above_max_length": ContextOverflow,
        "content_filter": ModelRefused,
        "content_policy_violation": ModelRefused,
        "insufficient_quota": ModelQuota,
        "billing_hard_limit_reached": ModelQuota,
        "billing_not_active": ModelQuota,
        "insufficient_credits": ModelQuota,
        "model_not_found": ModelUnknown,
        "rate_limit_exceeded": ModelRateLimited,
        "server_error": ModelUnavailable,
    },
    by_status={413: ContextOverflow},  # a shorter transcript is the way out of too long a body, too
)
# From none to most. A model that takes some of them is asked for the nearest.
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def nearest(*taken: str) -> Mapping[str, str]:
    """For every effort the nearest of those a model takes; of two as near, the greater."""

    def rank(word: str) -> int:
        return _EFFORTS.index(word)

    return {wanted: min(taken, key=lambda word: (abs(rank(word) - rank(wanted)), -rank(word))) for wanted in _EFFORTS}


@dataclass(frozen=True, slots=True)
class Dialect:
    """One server's way to speak, or one model's at a server whose models differ.

    Attributes:
        refusals: how it says no.
        profile: what is taken for granted of a model that nobody says anything of.
        listing: where its models are listed, relative to its base URL.
        complete: whether the listing names every name it answers to, so that any other is a mistake.
        not_chat: words in the name of a listed model that is not for chat.
        fields: what it calls a field of a request; None where it takes none such. A dot leads into an object.
        always: fields of every request.
        efforts: its words for our efforts (`nearest`); an effort without a word is not sent.
        thinking: fields that ask a model to think (True), and not to (False).
        thoughtless: when it refuses to think: `never`, with any `tools`, or when a call is `demanded`.
        strict: whether it knows `strict` on a tool.
        required: its word for the tool choice `required`.
        named: whether a tool can be demanded by name; else only that tool is offered, and `required`.
        forms_with_tools: whether a response format may stand beside tools.
        forms_stream: whether a reply in a demanded form can be streamed; else it comes whole.
        object_form: whether it knows `json_object`; else a schema of any object stands for it.
        call_ids: the ids of calls it takes; others are made over.
        names: whether a user message may have a name.
        filler: what is said where it takes neither an empty reply nor a user right after a tool; None: it takes both.
        replay: the field in which it takes back what a model thought before it called tools; None: it takes nothing.
        replay_always: whether that field must be there even where the model, or another one, thought nothing.
        signs: what it gives with a reply that must come back as it was: Google's `thought_signature` on a call, or
            OpenRouter's `reasoning_details`.
        weak: whether its models may think in tags and write calls into their text.
        dimensions: how long the vectors of its embedding models are, so that they need not be asked.
    """

    refusals: Refusals = field(default_factory=Refusals)
    profile: Profile = UNKNOWN
    listing: str = "models"
    complete: bool = False
    not_chat: tuple[str, ...] = ()
    fields: Mapping[str, str | None] = field(default_factory=dict)
    always: JsonObject = field(default_factory=dict)
    efforts: Mapping[str, str] = field(default_factory=dict)
    thinking: Mapping[bool, JsonObject] = field(default_factory=dict)
    thoughtless: Literal["never", "tools", "demanded"] = "never"
    strict: bool = False
    required: str = "required"
    named: bool = True
    forms_with_tools: bool = True
    forms_stream: bool = True
    object_form: bool = True
    call_ids: re.Pattern[str] = re.compile(r"[!-~]{1,40}")  # OpenAI refuses longer ones; vLLM makes them
    names: bool = True
    filler: str | None = None
    replay: str | None = None
    replay_always: bool = False
    signs: Literal["thought_signature", "reasoning_details"] | None = None
    weak: bool = True
    dimensions: Mapping[str, int] = field(default_factory=dict)


# What is left when nothing is known of a server but that it speaks the wire.
COMPATIBLE = Dialect(
    refusals=REFUSALS,
    fields={"verbosity": None},
    efforts={word: word for word in _EFFORTS},
)


class Known(NamedTuple):
    """What is known of a model by its name."""

    profile: Profile
    dialect: Dialect


def by_start(model: str, table: Mapping[str, Known]) -> Known | None:
    """The entry whose name is the longest start of the model's, up to a `-`, `.` or `:`."""
    starts = [start for start in table if model == start or model.startswith((f"{start}-", f"{start}.", f"{start}:"))]
    return table[max(starts, key=len)] if starts else None
