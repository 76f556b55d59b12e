"""The base tool that runs code a model just wrote, in the sandbox."""

import json
from typing import Literal

from pydantic import Field

from activities.tool_arguments import Arguments, Text
from activities.tools import NativeTool, ToolContext
from o.domain.json import JsonObject
from o.sandbox.base import CodeCall, CodeResult, Language, Limits, Sandbox, SandboxUnavailable

# JavaScript is TypeScript without types.
_LANGUAGES: dict[str, Language] = {"python": "python", "js": "typescript", "ts": "typescript"}
_LONGEST = 1_000_000  # characters


class _Code(Arguments):
    code: Text = Field(max_length=_LONGEST)
    language: Literal["python", "js", "ts", "r", "java"]


def code_tools(sandbox: Sandbox, limits: Limits) -> dict[str, NativeTool]:
    """The tool `run_code`, by its name.

    Args:
        limits: what one piece of code may use.
    """

    async def run_code(context: ToolContext, arguments: JsonObject) -> str:
        """Run a programme; returns what it printed as JSON, and under `error` why it failed, where it did."""
        asked = _Code.read(arguments)
        try:
            language = await _language(sandbox, asked.language)
            result = await sandbox.run(CodeCall(source=asked.code, language=language, limits=limits))
        except SandboxUnavailable as error:
            raise ValueError(f"no code can be run here: {error.message}") from error
        return _printed(result)

    return {"run_code": run_code}


async def _language(sandbox: Sandbox, name: str) -> Language:
    """Raises ValueError for a language that this sandbox does not run."""
    language = _LANGUAGES.get(name)
    if language is None:
        raise ValueError(f"code in {name} cannot be run: there are python, js and ts")
    if language != "python" and language not in (await sandbox.report()).languages:
        raise ValueError(f"code in {name} cannot be run: it needs Node.js, which this machine lacks or has too old")
    return language


def _printed(result: CodeResult) -> str:
    document = {
        "results": [] if result.value is None else [result.value],
        "logs": {
            "stdout": [result.stdout] if result.stdout else [],
            "stderr": [result.stderr] if result.stderr else [],
        },
        "error": None if result.outcome == "returned" else result.error or f"it was ended: {result.outcome}",
    }
    return json.dumps(document, ensure_ascii=False)
