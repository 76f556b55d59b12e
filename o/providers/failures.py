"""What a provider's HTTP refusal means, in our errors: one table per vendor, read by one function.

Nothing the provider wrote in prose goes into an error: it may repeat the conversation or the key. Its codes may.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime

from o.errors import (
    ContextOverflow,
    ModelAuthentication,
    ModelBadRequest,
    ModelError,
    ModelOverloaded,
    ModelQuota,
    ModelRateLimited,
    ModelRefused,
    ModelTimeout,
    ModelUnavailable,
    ModelUnknown,
)

_KEY = re.compile(r"[!-~]+")  # RFC 9110 § 5.5, of which keys use no blanks
_WORD = re.compile(r"[A-Za-z0-9_.\[\]-]{1,60}")
# A window that is too small is told in prose alone by several: vLLM, LM Studio, Anthropic, Mistral, OpenRouter.
_OVERFLOW_PROSE = re.compile(
    r"(maximum|exceed\w*|(larger|longer|greater) than|beyond) [^.]{0,60}context"
    r"|context (length|window|size) [^.]{0,40}exceed|maximum prompt length|exceeds the maximum number of tokens"
    r"|(prompt|input|request|messages?) (is|are) too long|too (many|large)[^.]{0,20} tokens|reduce the length of",
    re.IGNORECASE,
)
# What Anthropic tells in prose alone.
_OTHER_PROSE: tuple[tuple[re.Pattern[str], type[ModelError]], ...] = (
    (re.compile(r"credit balance is too low", re.IGNORECASE), ModelQuota),
    (re.compile(r"blocked by content filtering policy", re.IGNORECASE), ModelRefused),
)
# OpenAI's words for a request that alone has more than a minute's tokens: waiting does not help it.
_NEVER = re.compile(r"request too large", re.IGNORECASE)
_YEAR = 365 * 86_400.0  # seconds; nobody waits so long, and a number without bounds breaks whoever reckons with it
_READ_PROSE = 4_000  # characters of a refusal's prose that are looked at

_SAID: dict[type[ModelError], str] = {
    ContextOverflow: "the request is longer than the model's context window",
    ModelRefused: "the content filter refused",
    ModelQuota: "the account has no credit left",
    ModelRateLimited: "too many requests",
    ModelUnknown: "there is no such model for this key",
    ModelOverloaded: "the service is overloaded",
}


@dataclass(frozen=True, slots=True)
class Refusals:
    """How one vendor says no.

    Attributes:
        by_code: what a word in the error's `code`, `type` or `status` means; goes before the status.
        by_status: what a status means where it differs from `STATUSES`.
    """

    by_code: Mapping[str, type[ModelError]] = field(default_factory=dict)
    by_status: Mapping[int, type[ModelError]] = field(default_factory=dict)


# What a status means with every vendor, from RFC 9110 and RFC 6585; 529 is "overloaded" with several of them.
STATUSES: dict[int, type[ModelError]] = {
    401: ModelAuthentication,
    402: ModelQuota,
    403: ModelAuthentication,
    404: ModelUnknown,
    408: ModelTimeout,
    409: ModelUnavailable,
    429: ModelRateLimited,
    503: ModelOverloaded,
    504: ModelTimeout,
    529: ModelOverloaded,
}


def failure(
    status: int,
    body: object,
    headers: Mapping[str, str],
    *,
    refusals: Refusals,
    provider: str,
    now: datetime,
    key_from: str | None = None,
) -> ModelError:
    """The error that a refused request stands for.

    Args:
        status: the HTTP status, or 0 for an error that came within a stream.
        body: the parsed body; its `error` object, or that object itself.
        refusals: the vendor's table.
        provider: its name, for the message.
        key_from: where a wrong key was taken from, for the message.
    """
    error = _error_of(body)
    within = error.get("code") if isinstance(error, dict) else None  # OpenRouter and vLLM: the status, within a stream
    status = status or (within if isinstance(within, int) and 400 <= within < 600 else 0)
    codes = _codes(body)
    kind = _kind(status, codes, body, refusals)
    if kind is ModelAuthentication:
        fix = f": check {key_from}" if key_from else ""
        return ModelAuthentication(f"{provider} refused the API key with status {status}{fix}")
    said = f"{provider} answered {status or 'an error within the stream'}"
    if codes:
        said += " (" + ", ".join(f"{name} {code}" for name, code in codes.items()) + ")"
    words = f"{_SAID[kind]}: {said}" if kind in _SAID else said
    return kind(words, retry_after=retry_after(headers, now) if kind.retryable else None)


def require_sendable(api_key: str, provider: str, key_from: str | None) -> None:
    """See that a key can stand in a header. The HTTP libraries refuse it in words that repeat it.

    Raises:
        ModelAuthentication: it has a line break, a blank or a letter that no key has.
    """
    if not _KEY.fullmatch(api_key):
        fix = f": check {key_from}" if key_from else ""
        raise ModelAuthentication(f"the API key of {provider} has a blank, a line break or a letter no key has{fix}")


def _kind(status: int, codes: Mapping[str, str], body: object, refusals: Refusals) -> type[ModelError]:
    if status == 429 and _NEVER.search(_prose(body)):
        return ContextOverflow
    for code in codes.values():
        if code in refusals.by_code:
            return refusals.by_code[code]
    if status in (0, 400, 413, 422, 500) and _OVERFLOW_PROSE.search(_prose(body)):
        return ContextOverflow
    if status == 400:
        for prose, kind in _OTHER_PROSE:
            if prose.search(_prose(body)):
                return kind
    if status in refusals.by_status:
        return refusals.by_status[status]
    if status in STATUSES:
        return STATUSES[status]
    return ModelUnavailable if status == 0 or status >= 500 else ModelBadRequest


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait, at most a year: `retry-after-ms`, or `retry-after` as a number or date (RFC 9110 § 10.2.3)."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * scale
        except ValueError:
            continue
        return min(max(seconds, 0.0), _YEAR) if math.isfinite(seconds) else None
    try:
        at = parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    # A date with the zone "-0000" comes without one; the RFC knows only GMT.
    seconds = (at.replace(tzinfo=at.tzinfo or now.tzinfo) - now).total_seconds()
    return min(max(seconds, 0.0), _YEAR)


def _error_of(body: object) -> object:
    if isinstance(body, list) and len(body) == 1:  # Gemini's
        body = body[0]
    return body.get("error", body) if isinstance(body, dict) else body


def _codes(body: object) -> dict[str, str]:
    error = _error_of(body)
    if not isinstance(error, dict):
        return {}
    details = error.get("details")
    cause = details.get("error_code") if isinstance(details, dict) else None  # Anthropic's; tells more than its type
    return {
        name: word
        for name, word in (("cause", cause), *((name, error.get(name)) for name in ("code", "type", "param", "status")))
        if isinstance(word, str) and _WORD.fullmatch(word)
    }


def _prose(body: object) -> str:
    """What a refusal says to people: looked at to tell its kind, never repeated."""
    error = _error_of(body)
    text = error.get("message") if isinstance(error, dict) else error
    return text[:_READ_PROSE] if isinstance(text, str) else ""
