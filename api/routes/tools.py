"""Tools: made, listed, found, read, changed, deleted, and tried by hand."""

from collections.abc import Sequence
from typing import Annotated, cast

from fastapi import APIRouter, Path, Query, Request

from api import tool_writes
from api.deps import Asking, JsonRoute
from api.errors import documented
from api.responses import Json
from api.routes.params import Cursor, Limit, Order, Words
from api.schemas.tools import (
    TOOL_TYPES,
    DescribeSource,
    FoundTool,
    FunctionSchema,
    PutTool,
    RunReturn,
    RunSource,
    SearchTools,
    Tool,
    ToolType,
    UpdateTool,
    print_tool,
)
from api.source_reading import reading
from api.tool_requests import print_run, run_of_source
from api.tool_runs import run_by_hand
from o.domain.base_tools import BASE_TOOLS
from o.domain.tool_source import derive
from o.errors import InvalidArgument, NotFound
from o.ids import pattern
from o.store.repositories.tools import ToolFilter

router = APIRouter(prefix="/v1/tools", tags=["tools"], route_class=JsonRoute)

ToolPath = Annotated[str, Path(pattern=pattern("tool"), description="Id of the tool.")]
Strings = Annotated[list[str] | None, Query(max_length=200)]
Types = Annotated[
    list[str] | None, Query(max_length=50, json_schema_extra={"items": {"type": "string", "enum": list(TOOL_TYPES)}})
]

# Of the score of a result, as reciprocal rank fusion has it: how little the first places differ.
_RANK_CONSTANT = 60


@router.get("/", operation_id="list_tools", response_model=list[Tool], responses=documented(404))
async def list_tools(
    caller: Asking,
    name: Words = None,
    names: Strings = None,
    tool_ids: Strings = None,
    search: Words = None,
    tool_types: Types = None,
    exclude_tool_types: Types = None,
    return_only_letta_tools: bool = False,
    before: Cursor = None,
    after: Cursor = None,
    limit: Limit = 50,
    order: Order = "desc",
    order_by: Annotated[str, Query(pattern="^created_at$")] = "created_at",
) -> Json:
    """Tools that match every given filter. The first page brings back base tools that were deleted."""
    what = ToolFilter(
        name=name,
        names=_tuple(names),
        tool_ids=_tuple(tool_ids),
        search=search,
        tool_types=_types("tool_types", tool_types),
        exclude_tool_types=_types("exclude_tool_types", exclude_tool_types) or (),
        base=True if return_only_letta_tools else None,
        after=after,
        before=before,
        limit=limit,
        order=order,
    )
    async with caller.transaction() as tx:
        if after is None and before is None:
            await tx.tools.restore_base()
        return Json([print_tool(tool) for tool in await tx.tools.list(what)])


@router.get("/count", operation_id="count_tools", response_model=int, responses=documented())
async def count_tools(
    caller: Asking,
    name: Words = None,
    names: Strings = None,
    tool_ids: Strings = None,
    search: Words = None,
    tool_types: Types = None,
    exclude_tool_types: Types = None,
    return_only_letta_tools: bool = False,
    exclude_letta_tools: bool = False,
) -> Json:
    """How many tools match every given filter."""
    what = ToolFilter(
        name=name,
        names=_tuple(names),
        tool_ids=_tuple(tool_ids),
        search=search,
        tool_types=_types("tool_types", tool_types),
        exclude_tool_types=_types("exclude_tool_types", exclude_tool_types) or (),
        base=False if exclude_letta_tools else True if return_only_letta_tools else None,
    )
    async with caller.transaction() as tx:
        return Json(await tx.tools.count(what))


@router.post("/", operation_id="create_tool", response_model=Tool, responses=documented())
async def create_tool(body: PutTool, caller: Asking) -> Json:
    """Make a tool from its source, which is read and not run. One of this name that is there is changed."""
    return Json(print_tool(await tool_writes.put(caller, body)))


@router.put("/", operation_id="upsert_tool", response_model=Tool, responses=documented())
async def upsert_tool(body: PutTool, caller: Asking) -> Json:
    """Make a tool, or change the one of this name."""
    return Json(print_tool(await tool_writes.put(caller, body)))


@router.post(
    "/generate-schema", operation_id="generate_json_schema", response_model=FunctionSchema, responses=documented()
)
async def generate_json_schema(body: DescribeSource, caller: Asking) -> Json:
    """What a model would be told of a tool with this source, which is read and not run."""
    derived = await reading(body.code, lambda: derive(body.code))
    return Json({"name": derived.name, "description": derived.description, "parameters": derived.parameters})


@router.post("/add-base-tools", operation_id="add_base_tools", response_model=list[Tool], responses=documented())
async def add_base_tools(caller: Asking) -> Json:
    """Bring back the base tools that were deleted, and bring the others up to date."""
    async with caller.transaction() as tx:
        await tx.tools.ensure_base()
        found = await tx.tools.by_names([tool.spec.name for tool in BASE_TOOLS])
    return Json([print_tool(tool) for tool in found])


@router.post("/run", operation_id="run_tool_from_source", response_model=RunReturn, responses=documented())
async def run_tool_from_source(body: RunSource, caller: Asking, request: Request) -> Json:
    """Run code once in the sandbox. What it does wrong is in the answer; a client that leaves ends it."""
    asked = await reading(body.source_code, lambda: run_of_source(body))
    returned = await run_by_hand(caller, request, asked)
    return Json(print_run(returned, caller.parts.store.now()))


@router.post("/search", operation_id="search_tools", response_model=list[FoundTool], responses=documented())
async def search_tools(body: SearchTools, caller: Asking) -> Json:
    """Tools whose name, description or tags have words of the query, the best first; without one, the newest."""
    what = ToolFilter(tags=_tuple(body.tags), tool_types=_types("tool_types", body.tool_types), limit=body.limit)
    async with caller.transaction() as tx:
        if body.query and body.query.strip():
            found = list(await tx.tools.search(body.query, what))
        else:
            found = [(tool, False) for tool in await tx.tools.list(what)]
    return Json(
        [
            {
                "tool": print_tool(tool),
                "embedded_text": None,
                "fts_rank": rank if by_words else None,
                "vector_rank": None,
                "combined_score": 1 / (_RANK_CONSTANT + rank),
            }
            for rank, (tool, by_words) in enumerate(found, 1)
        ]
    )


@router.get("/{tool_id}", operation_id="retrieve_tool", response_model=Tool, responses=documented(404))
async def retrieve_tool(tool_id: ToolPath, caller: Asking) -> Json:
    """One tool."""
    async with caller.transaction() as tx:
        return Json(print_tool(await tx.tools.get(tool_id)))


@router.patch("/{tool_id}", operation_id="modify_tool", response_model=Tool, responses=documented(404))
async def modify_tool(tool_id: ToolPath, body: UpdateTool, caller: Asking) -> Json:
    """Change a tool: null leaves a field as it is. A new source alone leaves the schema as it is."""
    return Json(print_tool(await tool_writes.change(caller, tool_id, body)))


@router.delete("/{tool_id}", operation_id="delete_tool", response_model=None, responses=documented())
async def delete_tool(tool_id: ToolPath, caller: Asking) -> Json:
    """Delete a tool; agents that have it lose it. One that is not there is a 400, as the contract has it."""
    try:
        async with caller.transaction() as tx:
            await tx.tools.delete(tool_id)
    except NotFound as error:
        raise InvalidArgument(error.message) from None
    return Json(None)


def _tuple(given: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if given is None else tuple(given)


def _types(field: str, given: Sequence[str] | None) -> tuple[ToolType, ...] | None:
    """Types of tools. Raises InvalidArgument naming the ones there are not."""
    if unknown := [kind for kind in given or () if kind not in TOOL_TYPES]:
        raise InvalidArgument(f"{field}: there is no tool type '{unknown[0][:80]}'; they are {', '.join(TOOL_TYPES)}")
    return None if given is None else cast("tuple[ToolType, ...]", tuple(given))
