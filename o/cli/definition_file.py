"""Files written in the DSL, loaded: they are the user's own code and run in this process."""

import importlib.util
import sys
from pathlib import Path

from o.domain.definitions import ToolDefinition
from o.dsl import Collected, collecting
from o.errors import InvalidArgument, ProjectError


def load(file: Path) -> Collected:
    """What a file defines: its own tools, its agents, and tools of other files that its agents have.

    Raises:
        InvalidArgument: it cannot be run, or defines something that cannot be; names the line where it can.
    """
    name = f"o_definitions_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise InvalidArgument(f"{file}: is no Python file")
    module = importlib.util.module_from_spec(spec)
    # As for a script: it finds its neighbours, and its classes find their module.
    sys.path.insert(0, str(file.resolve().parent))
    sys.modules[name] = module
    try:
        with collecting() as collected:
            spec.loader.exec_module(module)
    except ProjectError as error:
        raise InvalidArgument(f"{file}: {error.message}") from error
    except SyntaxError as error:
        raise InvalidArgument(f"{file}: line {error.lineno}: {error.msg}") from error
    except Exception as error:
        raise InvalidArgument(f"{file}: line {_line(error, file)}: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(file.resolve().parent))
        sys.modules.pop(name, None)
    used = [tool for agent in collected.agents for tool in agent.own_tools]
    tools = [tool for tool in collected.tools if tool in used or tool.module == name]
    _check_names(file, tools)
    return Collected(tools, collected.agents)


def _check_names(file: Path, tools: list[ToolDefinition]) -> None:
    names = [tool.tool_name for tool in tools]
    for name in names:
        if names.count(name) > 1:
            raise InvalidArgument(f"{file}: two tools are called '{name}': rename one with @tool(name=…)")


def _line(error: BaseException, file: Path) -> int | str:
    """The last line of the file itself that the error came through."""
    found: int | str = "?"
    trace = error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).absolute() == file.absolute():
            found = trace.tb_lineno
        trace = trace.tb_next
    return found
