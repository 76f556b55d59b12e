"""A stored tool's call, as whatever runs it wants it."""

from o.domain.json import JsonObject
from o.domain.tool_limits import ToolLimits
from o.domain.tool_run import ToolRunRequest
from o.store.records import ToolRecord


def request_of(tool: ToolRecord, arguments: JsonObject, *, agent_id: str | None = None) -> ToolRunRequest:
    """One call of a tool for an agent, complete but for the agent's secrets."""
    return ToolRunRequest(
        tool_id=tool.id,
        agent_id=agent_id,
        tool_type=tool.tool_type,
        source=tool.source_code or "",
        source_type="typescript" if tool.source_type == "typescript" else "python",
        function=tool.name,
        parameters=tool.json_schema.get("parameters"),
        arguments=arguments,
        requirements=packages(tool.pip_requirements, "=="),
        packages=packages(tool.npm_requirements, "@"),
        limits=ToolLimits.model_validate(tool.sandbox),
        return_char_limit=tool.return_char_limit,
    )


def packages(named: list[JsonObject] | None, joint: str) -> tuple[str, ...]:
    """Packages as `{name, version?}`, each in one word: `==` joins those of PyPI, `@` those of npm."""
    return tuple(
        f"{package['name']}{joint}{package['version']}" if package.get("version") else str(package["name"])
        for package in named or ()
    )
