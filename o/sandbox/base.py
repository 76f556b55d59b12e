"""What is run in the sandbox and what comes back: values, and the protocol of whoever runs it."""

from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from o.domain.json import JsonObject
from o.errors import ProjectError

MIB = 2**20

Language = Literal["python", "typescript"]

# How a call ended. `returned` alone has a value; `raised` is the tool's own exception; the rest is the sandbox's doing.
Outcome = Literal["returned", "raised", "timeout", "memory", "crashed", "bad_result"]


class SandboxUnavailable(ProjectError):
    """No code can be run: the executor does not answer, or this machine cannot isolate it. Says what to do."""

    code = "sandbox_unavailable"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Limits(_Value):
    """What one call may use.

    Attributes:
        wall: seconds from its start to its end.
        cpu: seconds of processor time, of each of its processes.
        memory: bytes, all its processes together.
        processes: processes and threads at one time.
        open_files: descriptors of each process.
        disk: bytes in its working folder, which goes with it.
        output: bytes that are kept of stdout, and of stderr.
        result: bytes of what it returns, as JSON.
    """

    wall: float = Field(default=180.0, gt=0, le=3600)
    cpu: float = Field(default=60.0, gt=0, le=3600)
    memory: int = Field(default=512 * MIB, ge=64 * MIB)
    processes: int = Field(default=64, ge=1, le=4096)
    open_files: int = Field(default=256, ge=16, le=65536)
    disk: int = Field(default=256 * MIB, ge=MIB)
    output: int = Field(default=65_536, ge=1024, le=16 * MIB)
    result: int = Field(default=MIB, ge=1024, le=16 * MIB)


class Egress(_Value):
    """The only way out of the sandbox: a proxy's unix socket, and the token that says what this call may reach."""

    socket: str
    token: str = Field(repr=False)


class CodeCall(_Value):
    """One call of untrusted code, complete.

    Attributes:
        source: the tool's code.
        function: which of its functions to call; None runs the source as a script, whose value is None.
        arguments: keyword arguments; those the function does not take are the caller's mistake.
        order: names of the parameters, for languages that have no keyword arguments; empty takes that of `arguments`.
        environment: variables the code sees, the tool's secrets among them; there are no others.
        agent_state: what the function's argument `agent_state` is made of, where it has one.
        libraries: the prepared requirements it may import (`Sandbox.prepare`).
        egress: None for no network at all.
    """

    source: str = Field(repr=False)
    function: str | None = None
    language: Language = "python"
    arguments: JsonObject = Field(default_factory=dict, repr=False)
    order: tuple[str, ...] = ()
    environment: dict[str, str] = Field(default_factory=dict, repr=False)
    agent_state: JsonObject | None = Field(default=None, repr=False)
    libraries: str | None = None
    egress: Egress | None = None
    limits: Limits = Limits()


class CodeResult(_Value):
    """How a call ended. Nothing in it may be trusted but `outcome` and `seconds`, which the supervisor saw itself.

    Attributes:
        value: plain JSON.
        error: `Type: message` of what the code raised, or our words for what ended it.
        agent_state: the state as the code left it, where it was given one.
        seconds: wall time.
    """

    outcome: Outcome
    value: Any = None
    error: str | None = None
    stdout: str = ""
    stderr: str = ""
    agent_state: JsonObject | None = None
    seconds: float = 0.0


class Layer(_Value):
    """One layer of isolation: whether it holds here, and in a sentence why not or what it lacks."""

    name: str
    active: bool
    note: str = ""


class SandboxReport(_Value):
    """What the self-test found. `sufficient` decides whether code is run at all; `failed` names attacks that won."""

    sufficient: bool
    layers: tuple[Layer, ...]
    failed: tuple[str, ...] = ()
    languages: tuple[Language, ...] = ()
    message: str = ""


class Process(Protocol):
    """A long-running program in the sandbox (an MCP server): bytes in, bytes out."""

    async def write(self, data: bytes) -> None:
        """Send bytes to its stdin. Raises SandboxUnavailable once it is gone."""
        ...

    async def read(self) -> bytes:
        """The next bytes of its stdout; empty at its end."""
        ...

    async def close(self) -> None:
        """Kill it with everything it started."""
        ...


class Sandbox(Protocol):
    """Runs untrusted code so that it harms nothing but its own call."""

    async def run(self, call: CodeCall) -> CodeResult:
        """Run one call in a fresh process. Cancelling the task kills all of it within a second.

        Raises:
            SandboxUnavailable: nothing was run.
        """
        ...

    async def prepare(self, requirements: tuple[str, ...]) -> str:
        """Have these PEP 508 requirements ready; returns what `CodeCall.libraries` names. The second time is a look-up.

        Raises:
            InvalidArgument: they cannot be resolved or installed; says which and why. SandboxUnavailable.
        """
        ...

    async def start(
        self, command: tuple[str, ...], environment: dict[str, str], *, egress: Egress | None, limits: Limits
    ) -> Process:
        """Start a program that talks over stdin and stdout. Raises SandboxUnavailable."""
        ...

    async def report(self) -> SandboxReport:
        """The layers that hold here. Raises SandboxUnavailable when the executor does not answer."""
        ...
