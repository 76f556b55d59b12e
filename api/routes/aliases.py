"""Aliases: other names for models, and fallback lists."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.deps import Asking, JsonRoute
from api.errors import documented
from api.responses import Json
from api.schemas.providers import Alias, Handle, SetAlias, print_alias

router = APIRouter(prefix="/v1/aliases", tags=["aliases"], route_class=JsonRoute)


@router.get("/", operation_id="list_aliases", response_model=list[Alias], responses=documented())
async def list_aliases(caller: Asking) -> Json:
    """All aliases of the organisation, by name."""
    async with caller.transaction() as tx:
        return Json([print_alias(record) for record in await tx.aliases.list()])


@router.put("/", operation_id="set_alias", response_model=Alias, responses=documented())
async def set_alias(body: SetAlias, caller: Asking) -> Json:
    """Let a handle mean others, tried in order. Targets are models, never aliases again; they need not exist yet."""
    async with caller.transaction() as tx:
        record = await tx.aliases.set(body.handle, body.targets)
    caller.parts.catalogue.forget(caller.org_id)
    return Json(print_alias(record))


@router.delete("/", operation_id="delete_alias", responses=documented(404))
async def delete_alias(caller: Asking, handle: Annotated[Handle, Query()]) -> Json:
    """Take an alias away: its handle means what it says again."""
    async with caller.transaction() as tx:
        await tx.aliases.delete(handle)
    caller.parts.catalogue.forget(caller.org_id)
    return Json({"message": f"Alias handle={handle} successfully deleted"})
