"""The address at which clients that speak MCP find O."""

import asyncio
import importlib

from fastapi import APIRouter
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.deps import Asking, Caller
from o.errors import Unauthorized

router = APIRouter(tags=["mcp-servers"])


class _Served(Response):
    """An answer that the SDK writes itself."""

    def __init__(self, caller: Caller, *, keyed: bool) -> None:
        super().__init__()
        self._caller, self._keyed = caller, keyed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        module = await asyncio.to_thread(importlib.import_module, "api.mcp_server")
        await module.serve(self._caller, self._keyed, scope, receive, send)


# No part of the REST API: its schema is the protocol's own.
@router.api_route("/mcp", methods=["GET", "POST", "DELETE"], include_in_schema=False)
async def mcp_endpoint(caller: Asking) -> Response:
    """Streamable HTTP with the API's own keys."""
    return _Served(caller, keyed=await _keyed(caller))


async def _keyed(caller: Caller) -> bool:
    """Whether nobody comes in without a key: that one was shown says nothing, while any would do."""
    try:
        await caller.parts.gate.owner(None)
    except Unauthorized:
        return True
    return False
