"""What a tool's short-lived key reaches: a table of routes of its own agent, and nothing that is not in it."""

from starlette.requests import Request

from o.errors import Forbidden
from o.tool_key import ToolScope

_AGENT = "/v1/agents/{agent_id}"
_BLOCK = f"{_AGENT}/core-memory/blocks/{{block_label:path}}"

_ROUTES = frozenset(
    {
        ("GET", _AGENT),
        ("GET", f"{_AGENT}/core-memory"),
        ("GET", f"{_AGENT}/core-memory/blocks"),
        ("GET", _BLOCK),
        ("PATCH", _BLOCK),
        ("GET", f"{_AGENT}/archival-memory"),
        ("POST", f"{_AGENT}/archival-memory"),
        ("GET", f"{_AGENT}/archival-memory/search"),
        ("GET", f"{_AGENT}/messages"),
        ("GET", "/v1/models/"),
    }
)
_WITHOUT_AGENT = frozenset({"/v1/models/"})


def check_reach(scope: ToolScope, request: Request) -> None:
    """Refuse a request that the key of a tool call does not reach.

    Raises:
        Forbidden: another agent, or a route that is not in the table, whatever it would do.
    """
    path = getattr(request.scope.get("route"), "path", None)
    known = (request.method, path) in _ROUTES
    own = path in _WITHOUT_AGENT or request.path_params.get("agent_id") == scope.agent_id
    if not known or not own:
        raise Forbidden(
            f"the key of a tool call reaches only its own agent ({scope.agent_id}): the agent, its memory blocks, "
            "its archival memory and its messages; this needs a key of the organisation"
        )
