"""The one table from error codes to HTTP, and the bodies of refusals (letta-v1 contract, section 2)."""

import logging
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from api.responses import Json
from o.domain.json import JsonObject
from o.errors import ConversationBusy, McpFailure, McpTimeout, ModelError, PendingApproval, ProjectError, Unavailable

_log = logging.getLogger(__name__)

_STATUS = {
    "invalid_argument": 400,
    "unauthorized": 401,
    "budget_exceeded": 402,
    "forbidden": 403,
    "not_found": 404,
    "conflict": 409,
    "conversation_busy": 409,
    "pending_approval": 409,
    "unprocessable": 422,
    "unavailable": 503,
}

# Failures of a model, by code: the status and the contract's word for `error.type`.
_MODEL_FAILURES = {
    "llm_authentication": (401, "llm_authentication"),
    "llm_insufficient_credits": (402, "llm_insufficient_credits"),
    "budget_exceeded": (402, "budget_exceeded"),
    "llm_rate_limit": (429, "llm_rate_limit"),
    "llm_timeout": (504, "llm_timeout"),
    "llm_unavailable": (503, "llm_error"),
    "llm_overloaded": (503, "llm_error"),
    "llm_bad_request": (400, "llm_error"),
    "llm_refused": (400, "llm_error"),
    "llm_unknown_model": (404, "llm_error"),
    # Before any model was asked: no provider of that name, a handle that is none, a stored key that does not open.
    "not_found": (404, "llm_error"),
    "invalid_argument": (400, "llm_error"),
    "key_unusable": (503, "llm_error"),
    "context_window_exceeded": (400, "context_window_exceeded"),
}

# A run that ended with an error will not end otherwise for being asked about again.
NO_RETRY = {"x-should-retry": "false"}


def answer_to(error: ProjectError) -> Json:
    """A refusal as the contract has it."""
    if isinstance(error, ModelError):
        return model_failure(error.code, error.message, _retry_after(error))
    if isinstance(error, McpFailure):
        return mcp_failure(error)
    status = _STATUS.get(error.code)
    if status is None:
        _log.error("a request failed: %s", error.code, exc_info=error)
        return unknown_error()
    match error:
        case PendingApproval():
            detail = {"code": "PENDING_APPROVAL", "message": error.message, "pending_request_id": error.request_id}
            return Json({"detail": detail}, status, NO_RETRY)
        case ConversationBusy(run_id=str()):
            return Json({"detail": error.message, "run_id": error.run_id}, status)
        case Unavailable():
            return Json({"detail": error.message}, status, {"Retry-After": "1", **_retry_after(error)})
    if error.code == "invalid_argument":
        return Json({"detail": f"INVALID_ARGUMENT: {error.message}"}, status)
    if error.code == "unauthorized":
        return Json({"detail": "Unauthorized"}, status, {"WWW-Authenticate": "Bearer"})
    if status == 422:
        return unprocessable(error.message)
    return Json({"detail": error.message}, status)


def model_failure(code: str, message: str, headers: Mapping[str, str] | None = None) -> Json:
    """A model's failure; a code that is none of a model's is an internal error and keeps its words to itself."""
    if code not in _MODEL_FAILURES and not code.startswith(("llm_", "invalid_llm")):
        return unknown_error(headers)
    status, kind = _MODEL_FAILURES.get(code, (500, "llm_error"))
    body = {"error": {"type": kind, "message": message, "detail": None}}
    return Json(body, status, dict(headers or {}))


def mcp_failure(error: McpFailure) -> Json:
    """An MCP server's failure. Client libraries must not ask again by themselves: the server has been waited for."""
    if isinstance(error, McpTimeout):
        return Json({"detail": error.message}, 408, NO_RETRY)
    body = {"error": {"type": "mcp_connection_error", "message": error.message, "detail": None}}
    return Json(body, 502, NO_RETRY)


def unknown_error(headers: Mapping[str, str] | None = None) -> Json:
    return Json({"detail": "An unknown error occurred"}, 500, dict(headers or {}))


def unprocessable(detail: str) -> Json:
    """A request that cannot be read as what the route takes."""
    return Json({"trace_id": uuid.uuid4().hex, "detail": detail}, 422)


def complaint(errors: Sequence[Any]) -> str:
    """What is wrong with a request, field by field, without repeating what was sent: it may be a secret."""
    lines: list[str] = []
    for error in errors[:20]:
        place = ".".join(str(step) for step in error["loc"] if step not in ("body", "query", "path")) or "body"
        words = str(error["msg"]).removeprefix("Value error, ")
        if error["type"] == "json_invalid":
            place, words = "body", f"is not valid JSON ({error.get('ctx', {}).get('error', 'syntax error')})"
        if error["type"] == "missing" and error["loc"] == ("body",):
            words = "is missing; send a JSON object with Content-Type: application/json"
        lines.append(f"{place}: {words}")
    if len(errors) > 20:
        lines.append(f"and {len(errors) - 20} more")
    return "; ".join(lines)


async def _on_project_error(request: Request, error: Exception) -> Json:
    assert isinstance(error, ProjectError)
    return answer_to(error)


async def _on_validation(request: Request, error: Exception) -> Json:
    assert isinstance(error, RequestValidationError)
    return unprocessable(complaint(error.errors()))


async def _on_http(request: Request, error: Exception) -> Json:
    assert isinstance(error, HTTPException)
    return Json({"detail": error.detail}, error.status_code, dict(error.headers or {}))


async def _on_anything(request: Request, error: Exception) -> Json:
    return unknown_error()


def install(app: FastAPI) -> None:
    """Let every error of the app leave as the contract says. What is unforeseen is logged by the server."""
    app.add_exception_handler(ProjectError, _on_project_error)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_anything)


def _retry_after(error: ProjectError) -> dict[str, str]:
    return {} if error.retry_after is None else {"Retry-After": str(max(1, round(error.retry_after)))}


_DETAIL: JsonObject = {"type": "object", "properties": {"detail": {"type": "string"}}, "required": ["detail"]}
_TRACED: JsonObject = {
    "type": "object",
    "properties": {"trace_id": {"type": "string"}, "detail": {"type": "string"}},
    "required": ["detail"],
}
_ANY_DETAIL: JsonObject = {"type": "object"}

_MEANINGS: dict[int, tuple[str, JsonObject]] = {
    400: ("An argument that cannot be used", _ANY_DETAIL),
    401: ("No valid API key, or a model provider that refuses its own", _ANY_DETAIL),
    402: ("A budget is used up, or the model provider wants to be paid", _ANY_DETAIL),
    404: ("There is no such thing", _DETAIL),
    408: ("The MCP server did not answer in time", _DETAIL),
    409: ("It contradicts what is stored, or the agent is busy or waits for an approval", _ANY_DETAIL),
    413: ("The body is too large", _DETAIL),
    415: ("The body is not JSON", _DETAIL),
    422: ("A field is missing or has a value that cannot be", _TRACED),
    429: ("The model provider limits the rate", _ANY_DETAIL),
    500: ("An unknown error, or one of the model provider", _ANY_DETAIL),
    502: ("The MCP server cannot be reached or used", _ANY_DETAIL),
    503: ("A part that is needed does not answer now", _ANY_DETAIL),
    504: ("The model did not answer in time", _ANY_DETAIL),
}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route: these refusals and those every route has."""
    return {
        status: {
            "description": _MEANINGS[status][0],
            "content": {"application/json": {"schema": _MEANINGS[status][1]}},
        }
        for status in sorted({400, 401, 413, 415, 422, 500, 503, *statuses})
    }
