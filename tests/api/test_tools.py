"""Tools: what the API takes, prints, lists, finds and refuses."""

from itertools import cycle
from typing import Any

import httpx
import pytest

from api.schemas.tools import TOOL_TYPES
from o import ids
from o.domain.base_tools import BASE_TOOLS
from o.domain.tool_limits import ToolLimits
from o.sandbox.base import Limits
from tests.api.conftest import made

DICE = '''
def roll_dice(sides: int, times: int = 1) -> str:
    """Roll some dice.

    Args:
        sides: How many sides each has.
        times: How often to roll.
    """
    import random
    return str([random.randint(1, sides) for _ in range(times)])
'''

HELLO = '''
def hello(name: str) -> str:
    """Say hello.

    Args:
        name: Whom to greet.
    """
    return f"Hello {name}"
'''

TYPESCRIPT = "export function greet(name: string): string { return 'Hi ' + name }"
GREET = {
    "name": "greet",
    "description": "Greet somebody.",
    "parameters": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
}


async def put(http: httpx.AsyncClient, source: str = DICE, **more: Any) -> dict[str, Any]:
    answer = await http.post("/v1/tools/", json={"source_code": source, **more})
    assert answer.status_code == 200, answer.text
    printed: dict[str, Any] = answer.json()
    return printed


async def names(http: httpx.AsyncClient, **params: Any) -> list[str]:
    answer = await http.get("/v1/tools/", params=params)
    assert answer.status_code == 200, answer.text
    return [tool["name"] for tool in answer.json()]


async def test_a_tool_is_made_from_its_source_read_and_deleted(http: httpx.AsyncClient) -> None:
    tool = await put(http)
    assert tool["id"].startswith("tool-")
    assert (tool["name"], tool["tool_type"], tool["source_type"]) == ("roll_dice", "custom", "python")
    assert tool["source_code"] == DICE and tool["description"].startswith("Roll some dice.")
    parameters = tool["json_schema"]["parameters"]
    assert tool["json_schema"]["name"] == "roll_dice"
    assert parameters["properties"]["sides"] == {"type": "integer", "description": "How many sides each has."}
    assert parameters["required"] == ["sides"]
    assert (tool["return_char_limit"], tool["tags"], tool["metadata_"]) == (50_000, [], {})
    assert (tool["effect"], tool["idempotent"], tool["sandbox"]) == ("external", False, {})
    path = f"/v1/tools/{tool['id']}"
    assert (await http.get(path)).json() == tool
    deleted = await http.delete(path)
    assert (deleted.status_code, deleted.content) == (200, b"null")
    assert (await http.get(path)).status_code == 404
    again = await http.delete(path)
    assert again.status_code == 400 and tool["id"] in again.json()["detail"]


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_the_same_name_again_changes_the_tool(http: httpx.AsyncClient, method: str) -> None:
    before = await put(http, tags=["games"], return_char_limit=9, effect="pure", sandbox={"timeout": 5})
    changed = DICE.replace("Roll some dice.", "Throw dice.").replace("times: int = 1", "times: int")
    after = (await http.request(method, "/v1/tools/", json={"source_code": changed})).json()
    assert after["id"] == before["id"]
    assert after["description"].startswith("Throw dice.")
    assert after["json_schema"]["parameters"]["required"] == ["sides", "times"]
    kept = ("tags", "return_char_limit", "effect", "sandbox")
    assert [after[field] for field in kept] == [before[field] for field in kept]
    assert after["sandbox"] == {"network": [], "timeout": 5}


async def test_everything_that_is_said_of_a_tool_is_printed(http: httpx.AsyncClient) -> None:
    said: dict[str, Any] = {
        "tags": ["a", "b"],
        "return_char_limit": 1_000_000,
        "pip_requirements": [{"name": "numpy", "version": "2.3.1"}, {"name": "httpx[http2]", "version": None}],
        "npm_requirements": [{"name": "@types/node", "version": "^24.0.0"}],
        "default_requires_approval": True,
        "enable_parallel_execution": True,
        "effect": "reads",
        "idempotent": True,
        "metadata_": {"team": {"of": [1, None]}},
    }
    limits = {"network": ["api.example.com", "*.example.org:8443"], "memory": 128, "processes": 4, "disk": 10}
    tool = await put(http, **said, sandbox=limits)
    expected = said | {"pip_requirements": [{"name": "numpy", "version": "2.3.1"}, {"name": "httpx[http2]"}]}
    assert {field: tool[field] for field in said} == expected
    assert tool["sandbox"] == limits
    patched = (await http.patch(f"/v1/tools/{tool['id']}", json={"sandbox": {"cpu": 2}, "tags": None})).json()
    assert (patched["sandbox"], patched["tags"]) == ({"network": [], "cpu": 2}, ["a", "b"])


async def test_arguments_may_be_described_by_a_schema_of_their_own(http: httpx.AsyncClient) -> None:
    bare = 'def order(dish, count=1):\n    """Order a dish."""\n    return dish\n'
    schema = {
        "type": "object",
        "properties": {"dish": {"type": "string", "description": "Which dish."}, "count": {"type": "integer"}},
        "required": ["dish"],
    }
    tool = await put(http, bare, args_json_schema=schema)
    assert (tool["name"], tool["args_json_schema"]) == ("order", schema)
    parameters = tool["json_schema"]["parameters"]
    assert tool["json_schema"]["description"] == "Order a dish."
    assert parameters["properties"]["dish"]["description"] == "Which dish." and parameters["required"] == ["dish"]
    wider = {**schema, "properties": {**schema["properties"], "note": {"type": "string"}}}  # type: ignore[dict-item]
    patched = (await http.patch(f"/v1/tools/{tool['id']}", json={"args_json_schema": wider})).json()
    assert "note" in patched["json_schema"]["parameters"]["properties"]
    circle = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"$ref": "#/$defs/A"}}}
    assert (await http.post("/v1/tools/", json={"source_code": bare, "args_json_schema": circle})).status_code == 400


async def test_a_given_schema_is_taken_as_it_is(http: httpx.AsyncClient) -> None:
    two = HELLO + '\n\ndef other(x: int) -> int:\n    """Other.\n\n    Args:\n        x: An x.\n    """\n    return x\n'
    assert (await put(http, two))["name"] == "other"
    schema = {**GREET, "name": "hello", "strict": True}
    tool = await put(http, two, json_schema=schema)
    assert (tool["name"], tool["json_schema"], tool["description"]) == ("hello", schema, "Greet somebody.")
    tool = await put(http, TYPESCRIPT, source_type="typescript", json_schema=GREET)
    assert (tool["name"], tool["source_type"], tool["json_schema"]) == ("greet", "typescript", GREET)


_DEEP: dict[str, Any] = {}
for _ in range(40):
    _DEEP = {"properties": _DEEP}


_REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"source_code": "def"}, 400, "line 1"),
    ({"source_code": "x = 1"}, 400, ""),
    ({"source_code": "def f(): pass"}, 400, "docstring"),
    ({"source_code": HELLO.replace("hello", "h" * 49)}, 400, "48"),
    ({"source_code": "#" * 1_000_001}, 422, "source_code: "),
    ({"source_code": "\0"}, 422, "source_code: must not contain NUL"),
    ({"source_code": 7}, 422, "source_code: "),
    ({}, 422, "source_code: "),
    ({"source_code": HELLO, "json_schema": {"name": "goodbye"}}, 400, "no function named 'goodbye'"),
    ({"source_code": HELLO, "json_schema": {"name": "hello", "parameters": []}}, 400, "json_schema.parameters: "),
    ({"source_code": HELLO, "json_schema": {"name": "hello", "parameters": {"type": "array"}}}, 400, "type object"),
    ({"source_code": HELLO, "json_schema": {"name": "hello", "description": 1}}, 400, "json_schema.description: "),
    ({"source_code": HELLO, "json_schema": {"name": "hello", "parameters": _DEEP}}, 422, "nested deeper than 32"),
    ({"source_code": TYPESCRIPT, "source_type": "typescript"}, 400, "json_schema: a TypeScript tool needs one"),
    (
        {"source_code": TYPESCRIPT, "source_type": "typescript", "json_schema": {**GREET, "name": "not a name"}},
        400,
        "json_schema.name: must be letters, digits, _ and -",
    ),
    (
        {"source_code": TYPESCRIPT, "source_type": "typescript", "json_schema": {**GREET, "name": "n" * 49}},
        400,
        "json_schema.name: ",
    ),
    ({"source_code": HELLO, "source_type": "cobol"}, 422, "source_type: "),
    ({"source_code": HELLO, "return_char_limit": 0}, 422, "return_char_limit: "),
    ({"source_code": HELLO, "return_char_limit": 1_000_001}, 422, "return_char_limit: "),
    ({"source_code": HELLO, "effect": "idempotent"}, 422, "effect: "),
    ({"source_code": HELLO, "sandbox": {"timeuot": 1}}, 422, "sandbox.timeuot: "),
    ({"source_code": HELLO, "sandbox": {"timeout": 0}}, 422, "sandbox.timeout: "),
    ({"source_code": HELLO, "sandbox": {"memory": 63}}, 422, "sandbox.memory: "),
    ({"source_code": HELLO, "sandbox": {"network": ["http://x.test/"]}}, 422, "sandbox.network.0: is no host"),
    (
        {"source_code": HELLO, "pip_requirements": [{"name": "evil @ file:///etc"}]},
        422,
        "pip_requirements.0.name: ",
    ),
    ({"source_code": HELLO, "pip_requirements": [{"name": "-r"}]}, 422, "pip_requirements.0.name: "),
    ({"source_code": HELLO, "pip_requirements": [{"name": "a", "version": "1 --pre"}]}, 422, "version: "),
    ({"source_code": HELLO, "npm_requirements": [{"name": "../x"}]}, 422, "npm_requirements.0.name: "),
    ({"source_code": HELLO.replace("hello", "send_message")}, 400, "name: there is a tool of another kind"),
]


async def test_a_refusal_names_the_field_and_makes_nothing(http: httpx.AsyncClient) -> None:
    for (body, status, words), method in zip(_REFUSED, cycle(("POST", "PUT")), strict=False):
        answer = await http.request(method, "/v1/tools/", json=body)
        assert answer.status_code == status and words in answer.json()["detail"], (body, answer.text)
    assert await names(http, tool_types=["custom"]) == []


def test_what_a_tool_may_ask_for_is_what_the_sandbox_takes() -> None:
    scales = {"timeout": ("wall", 1), "memory": ("memory", 2**20), "disk": ("disk", 2**20)}
    scales |= {"output": ("output", 1024), "result": ("result", 1024)}
    for field in set(ToolLimits.model_fields) - {"network"}:
        name, scale = scales.get(field, (field, 1))
        for value in (1, 16, 64, 3600, 4096, 16384, 65536, 2**20):
            try:
                ToolLimits.model_validate({field: value})
            except ValueError:
                continue
            Limits.model_validate({name: value * scale})


async def test_a_change_leaves_the_schema_to_those_who_give_one(http: httpx.AsyncClient) -> None:
    tool = await put(http)
    path = f"/v1/tools/{tool['id']}"
    source = DICE.replace("Roll some dice.", "Throw dice.")
    changed = (await http.patch(path, json={"source_code": source, "description": "Mine."})).json()
    assert (changed["source_code"], changed["description"]) == (source, "Mine.")
    assert changed["json_schema"] == tool["json_schema"]
    assert (await http.patch(path, json={})).json() == changed
    renamed = source.replace("roll_dice", "throw_dice")
    refused = await http.patch(path, json={"source_code": renamed})
    assert refused.status_code == 400 and "no function named 'roll_dice'" in refused.json()["detail"]
    schema = {**tool["json_schema"], "name": "throw_dice"}
    after = (await http.patch(path, json={"source_code": renamed, "json_schema": schema})).json()
    assert (after["id"], after["name"], after["json_schema"]["name"]) == (tool["id"], "throw_dice", "throw_dice")
    await put(http, HELLO)
    taken = await http.patch(path, json={"json_schema": {**schema, "name": "hello"}})
    assert taken.status_code == 400 and "another tool named 'hello'" in taken.json()["detail"]
    assert (await http.patch(f"/v1/tools/{ids.new('tool')}", json={"tags": []})).status_code == 404
    assert (await http.patch("/v1/tools/tool-1", json={"tags": []})).status_code == 422


async def test_a_base_tool_stays_what_it_is(http: httpx.AsyncClient) -> None:
    (tool,) = (await http.get("/v1/tools/", params={"name": "conversation_search"})).json()
    path = f"/v1/tools/{tool['id']}"
    for change in (
        {"source_code": HELLO},
        {"json_schema": {**tool["json_schema"], "name": "other"}},
        {"description": "Mine."},
        {"effect": "pure"},
    ):
        refused = await http.patch(path, json=change)
        assert refused.status_code == 400 and "conversation_search is a base tool" in refused.json()["detail"]
    use = {"tags": ["mine"], "return_char_limit": 10, "default_requires_approval": True, "metadata_": {"a": 1}}
    changed = (await http.patch(path, json=use)).json()
    assert {field: changed[field] for field in use} == use
    assert changed["json_schema"] == tool["json_schema"]


async def test_deleted_base_tools_are_back_on_the_first_page(http: httpx.AsyncClient) -> None:
    everything = (await http.get("/v1/tools/", params={"limit": 1000})).json()
    (tool,) = (tool for tool in everything if tool["name"] == "conversation_search")
    assert (await http.delete(f"/v1/tools/{tool['id']}")).status_code == 200
    cursor = everything[0]["id"] if everything[0]["id"] != tool["id"] else everything[1]["id"]
    assert await names(http, name="conversation_search", after=cursor) == []
    assert await names(http, name="conversation_search") == ["conversation_search"]
    await http.delete(f"/v1/tools/{(await http.get('/v1/tools/', params={'name': 'memory_insert'})).json()[0]['id']}")
    added = (await http.post("/v1/tools/add-base-tools")).json()
    assert {tool["name"] for tool in added} == {tool.spec.name for tool in BASE_TOOLS}
    assert all(tool["tool_type"].startswith("letta_") for tool in added)


async def test_listing_filters_counts_and_pages(http: httpx.AsyncClient) -> None:
    one, two = await put(http), await put(http, HELLO)
    assert await names(http, tool_types="custom") == ["hello", "roll_dice"]
    assert await names(http, tool_types="custom", order="asc") == ["roll_dice", "hello"]
    assert await names(http, search="DICE") == ["roll_dice"]
    assert await names(http, names=["hello", "none"]) == ["hello"]
    assert await names(http, tool_ids=[one["id"]]) == ["roll_dice"]
    assert "hello" not in await names(http, return_only_letta_tools=True, limit=1000)
    assert await names(http, exclude_tool_types=[kind for kind in TOOL_TYPES if kind != "custom"], limit=1) == ["hello"]
    assert await names(http, tool_types="custom", after=two["id"]) == ["roll_dice"]
    total = (await http.get("/v1/tools/count")).json()
    assert total == len(BASE_TOOLS) + 2
    for params, count in (
        ({"exclude_letta_tools": True}, 2),
        ({"return_only_letta_tools": True}, len(BASE_TOOLS)),
        ({"name": "hello"}, 1),
        ({"search": "l_d"}, 1),
    ):
        assert (await http.get("/v1/tools/count", params=params)).json() == count
    for field in ("tool_types", "exclude_tool_types"):
        refused = await http.get("/v1/tools/", params={field: ["custom", "nonsense"]})
        assert refused.status_code == 400 and f"{field}: there is no tool type 'nonsense'" in refused.json()["detail"]
    assert (await http.get("/v1/tools/", params={"after": ids.new("tool")})).status_code == 404
    assert (await http.get("/v1/tools/", params={"after": "tool-1"})).status_code == 404
    assert (await http.get("/v1/tools/", params={"limit": 0})).status_code == 422


async def test_a_search_ranks_what_it_finds(http: httpx.AsyncClient) -> None:
    await put(http, tags=["games"])
    await put(http, HELLO)

    async def found(**body: Any) -> list[dict[str, Any]]:
        answer = await http.post("/v1/tools/search", json=body)
        assert answer.status_code == 200, answer.text
        results: list[dict[str, Any]] = answer.json()
        return results

    first, *others = await found(query="roll dice", search_mode="vector")
    assert (first["tool"]["name"], first["fts_rank"], first["vector_rank"]) == ("roll_dice", 1, None)
    assert all(first["combined_score"] > other["combined_score"] > 0 for other in others)
    assert [each["tool"]["name"] for each in await found(query="games", tool_types=["custom"])] == ["roll_dice"]
    assert [each["tool"]["name"] for each in await found(tool_types=["custom"])] == ["hello", "roll_dice"]
    assert [each["tool"]["name"] for each in await found(tags=["games"])] == ["roll_dice"]
    assert len(await found(limit=1)) == 1
    assert (await http.post("/v1/tools/search", json={"tool_types": ["nonsense"]})).status_code == 400
    assert (await http.post("/v1/tools/search", json={"limit": 101})).status_code == 422


async def test_a_schema_is_read_without_making_a_tool(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/tools/generate-schema", json={"code": DICE + "\nraise SystemExit(1)\n"})
    schema = answer.json()
    assert set(schema) == {"name", "description", "parameters"} and schema["name"] == "roll_dice"
    assert await names(http, tool_types="custom") == []
    refused = await http.post("/v1/tools/generate-schema", json={"code": "def f(:"})
    assert refused.status_code == 400 and "line 1" in refused.json()["detail"]


async def test_a_tool_by_name_reaches_an_agent_and_goes_with_its_deletion(http: httpx.AsyncClient) -> None:
    tool = await put(http)
    agent_id = await made(http, tools=["roll_dice"])
    assert "roll_dice" in {each["name"] for each in (await http.get(f"/v1/agents/{agent_id}")).json()["tools"]}
    await http.delete(f"/v1/tools/{tool['id']}")
    assert "roll_dice" not in {each["name"] for each in (await http.get(f"/v1/agents/{agent_id}")).json()["tools"]}
