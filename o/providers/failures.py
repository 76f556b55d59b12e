"""What a provider's HTTP refusal means, in our errors. The wire is OpenAI's, which most others imitate.

Nothing the provider wrote in prose goes into an error: it may repeat the conversation or the key. Its codes may.
"""

import math
import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

from o.errors import (
    ContextOverflow,
    ModelAuthentication,
    ModelBadRequest,
    ModelError,
    ModelQuota,
    ModelRateLimited,
    ModelRefused,
    ModelTimeout,
    ModelUnavailable,
)

_OVERFLOW = {"context_length_exceeded", "exceed_context_size_error", "string_above_max_length"}
_REFUSED = {"content_filter", "content_policy_violation"}
_QUOTA = {"insufficient_quota", "billing_hard_limit_reached", "insufficient_credits"}
_WORD = re.compile(r"[A-Za-z0-9_.\[\]-]{1,60}")


def failure(
    status: int,
    body: object,
    headers: Mapping[str, str],
    *,
    provider: str,
    now: datetime,
    key_variable: str | None = None,
) -> ModelError:
    """The error that a refused request stands for.

    Args:
        status: the HTTP status, or 0 for an error that came within a stream.
        body: the parsed body; its `error` object or that object itself.
        provider: its name, for the message.
        key_variable: the environment variable a wrong key was taken from.
    """
    codes = _codes(body)
    known = set(codes.values())
    wait = retry_after(headers, now)
    said = f"{provider} answered {status or 'an error within the stream'}"
    if codes:
        said += " (" + ", ".join(f"{name} {code}" for name, code in codes.items()) + ")"
    if known & _OVERFLOW:
        return ContextOverflow(f"the request is longer than the model's context window: {said}")
    if known & _REFUSED:
        return ModelRefused(f"the content filter refused: {said}")
    if status == 402 or known & _QUOTA:
        return ModelQuota(f"the account has no credit left: {said}")
    if status in (401, 403):
        fix = f": check {key_variable}" if key_variable else ""
        return ModelAuthentication(f"{provider} refused the API key with status {status}{fix}")
    if status == 429 or "rate_limit_exceeded" in known:
        return ModelRateLimited(f"too many requests: {said}", retry_after=wait)
    if status == 408:
        return ModelTimeout(said, retry_after=wait)
    if status == 0 or status >= 500:
        return ModelUnavailable(said, retry_after=wait)
    return ModelBadRequest(said)


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait, ≥ 0, from `retry-after-ms` or `retry-after` (seconds or an HTTP date, RFC 9110 § 10.2.3)."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * scale
        except ValueError:
            continue
        return max(seconds, 0.0) if math.isfinite(seconds) else None
    try:
        at = parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    # A date with the zone "-0000" comes without one; the RFC knows only GMT.
    return max((at.replace(tzinfo=at.tzinfo or now.tzinfo) - now).total_seconds(), 0.0)


def _codes(body: object) -> dict[str, str]:
    error = body.get("error", body) if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return {}
    return {
        name: word
        for name in ("code", "type", "param")
        if isinstance(word := error.get(name), str) and _WORD.fullmatch(word)
    }
