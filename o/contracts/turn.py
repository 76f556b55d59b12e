"""What crosses Temporal in a turn: ids and small decisions, never content."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from o.domain.stop import StopReason


class Contract(BaseModel):
    """Root of everything Temporal carries.

    New fields get a default, so that old histories replay; fields of a newer version are ignored, so that processes of
    two versions can work side by side while one replaces the other.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")


class Asker(Contract):
    """The step of another agent that waits for the end of a run: its workflow, and the tool call in it."""

    workflow_id: str
    call_id: str


class StepRef(Contract):
    """Which step: the `index`-th (from 0) of a run; `asked_by` is who is told of the run's end."""

    org_id: str
    agent_id: str
    conversation_id: str
    run_id: str
    index: int
    asked_by: Asker | None = None

    @property
    def workflow_id(self) -> str:
        return f"{self.run_id}/step-{self.index}"


class Timing(Contract):
    """How long the activities of a step may take, in seconds, all > 0. Whoever starts the step decides.

    Attributes:
        heartbeat: silence of a worker until its work is given to another.
        model: one model request, from first byte sent to last received.
        patience: all attempts at a model request, the waits between them included.
        tool: one tool call.
        reply: the reply of another agent to a tool call.
    """

    heartbeat: float = 5.0
    model: float = 600.0
    tool: float = 180.0
    patience: float = 3600.0
    reply: float = 600.0


class StepInput(Contract):
    """Input of the `Step` workflow."""

    at: StepRef
    timing: Timing = Timing()


class ReconcileInput(Contract):
    """How often to look for runs that nobody drives, and for how long, in seconds."""

    every: float
    lasts: float


class CallRef(Contract):
    """One tool call of a step. `kind` says whose activity runs it, `repeatable` whether it may run twice."""

    call_id: str
    tool: str
    kind: Literal["tool", "memory", "agent"] = "tool"
    repeatable: bool = False


class StepOutcome(Contract):
    """Where a step led: `stop` is why the run ended; None when another step of the run follows."""

    stop: StopReason | None = None


class StepPlan(Contract):
    """What the model's reply leads to: batches of calls to run, or the outcome if there is nothing to run."""

    batches: tuple[tuple[CallRef, ...], ...] = ()
    outcome: StepOutcome | None = None


class ToolInput(Contract):
    """One tool call to run."""

    at: StepRef
    call: CallRef


class CollectInput(Contract):
    """A call that waits for other agents; `final` once it waits no longer."""

    at: StepRef
    call: CallRef
    final: bool = False


class CloseInput(Contract):
    """A step that cannot go on: `code` is the error's code, `message` our words for a person (never content)."""

    at: StepRef
    code: str
    message: str = ""
