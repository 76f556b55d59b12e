"""The project's errors: one code crosses Temporal, HTTP and the logs alike.

`ProjectError.code` is the `ApplicationError.type` of a failed activity and the key of the table that gives the
HTTP status (`api/errors.py`). What the *model* should read is no exception: it is a tool return with status error.
"""

from typing import ClassVar


class ProjectError(Exception):
    """Anything O refuses or fails at, in words meant for a person.

    Attributes:
        code: stable name of the kind of error.
        retryable: whether Temporal may try the activity again.
        retry_after: seconds to wait before that, where the other side said so.
    """

    code: ClassVar[str] = "internal_error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after


class InvalidArgument(ProjectError):
    code = "invalid_argument"


class NotFound(ProjectError):
    code = "not_found"


class Conflict(ProjectError):
    """The request contradicts what is stored (a duplicate, a changed version, nothing to cancel)."""

    code = "conflict"


class Unprocessable(ProjectError):
    """Well-formed, but not a request that can be carried out (an idempotency key with another body)."""

    code = "unprocessable"


class Unauthorized(ProjectError):
    code = "unauthorized"


class Forbidden(ProjectError):
    """The key is valid, but not for this."""

    code = "forbidden"


class ConversationBusy(Conflict):
    """Another run holds the conversation and this route does not queue."""

    code = "conversation_busy"

    def __init__(self, message: str, *, run_id: str | None = None) -> None:
        super().__init__(message)
        self.run_id = run_id


class PendingApproval(Conflict):
    """The conversation waits for an approval; only its answer can move it on."""

    code = "pending_approval"

    def __init__(self, message: str, *, request_id: str) -> None:
        super().__init__(message)
        self.request_id = request_id


class Superseded(ProjectError):
    """This attempt was overtaken by a newer one and may write nothing more.

    Retried all the same: the engine does not listen to attempts it has given up, so if it hears this, the newer one was
    such an attempt, begun late by a worker that had been frozen.
    """

    code = "superseded"
    retryable = True


class Cancelled(ProjectError):
    """The run was cancelled before this effect began."""

    code = "cancelled"


class BudgetExceeded(ProjectError):
    """Nothing is left of a budget of the organisation or the agent, so no model may be asked."""

    code = "budget_exceeded"


class Unavailable(ProjectError):
    """A part O needs (database, engine) does not answer now."""

    code = "unavailable"
    retryable = True


class McpFailure(ProjectError):
    """Root of what MCP servers do wrong, in our words only."""

    code = "mcp_error"


class McpUnreachable(McpFailure):
    """It cannot be connected to, does not speak the protocol, or broke off."""

    code = "mcp_connection_error"


class McpPaused(McpUnreachable):
    """It failed so often in a row that it is left alone for a while."""

    code = "mcp_paused"


class McpSignInNeeded(McpUnreachable):
    """It wants somebody to sign in, or refuses the token it was given."""

    code = "mcp_sign_in_needed"


class McpTimeout(McpFailure):
    code = "mcp_timeout"


class ModelError(ProjectError):
    """Root of what language-model providers do wrong; `code` is the wire's `error_type`."""

    code = "llm_error"


class ModelTimeout(ModelError):
    code = "llm_timeout"
    retryable = True


class ModelRateLimited(ModelError):
    code = "llm_rate_limit"
    retryable = True


class ModelUnavailable(ModelError):
    """Unreachable, or a 5xx."""

    code = "llm_unavailable"
    retryable = True


class ModelOverloaded(ModelUnavailable):
    """The provider is there and has too much to do, whoever asks."""

    code = "llm_overloaded"


class ModelAuthentication(ModelError):
    code = "llm_authentication"


class ModelQuota(ModelError):
    code = "llm_insufficient_credits"


class ModelBadRequest(ModelError):
    code = "llm_bad_request"


class ModelUnknown(ModelError):
    """The provider has no such model, or this key may not ask it."""

    code = "llm_unknown_model"


class ModelRefused(ModelError):
    """The provider's content filter refused the request or the reply."""

    code = "llm_refused"


class ContextOverflow(ModelError):
    code = "context_window_exceeded"


class InvalidReply(ModelError):
    """The provider answered something that is no reply: garbage, a cut stream, nothing at all."""

    code = "invalid_llm_response"
    retryable = True
