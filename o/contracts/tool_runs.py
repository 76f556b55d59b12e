"""What crosses Temporal when a tool is run by hand: whose row holds the request, and how long it may take."""

from o.contracts.turn import Contract


class ToolRunInput(Contract):
    """A stored request to run a tool.

    Attributes:
        lasts: seconds it may take from when a worker takes it, its preparation included, > 0.
        heartbeat: seconds of silence after which its worker counts as dead, > 0.
    """

    org_id: str
    tool_run_id: str
    lasts: float
    heartbeat: float = 5.0
