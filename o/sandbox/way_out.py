"""Gives a program in the sandbox the way out that a call got: it finds a proxy in its environment."""

from collections.abc import Mapping
from pathlib import Path

from o.sandbox import bubblewrap, forward, machine
from o.sandbox.base import Egress


def with_way_out(
    command: tuple[str, ...], environment: Mapping[str, str], egress: Egress | None
) -> tuple[tuple[str, ...], dict[str, str]]:
    """The command and its environment, run by the forwarder where there is a way out; else as they are."""
    if egress is None:
        return command, dict(environment)
    start = (machine.interpreter(), "-I", "-S", str(Path(forward.__file__).resolve()), bubblewrap.EGRESS)
    return (*start, *command), {**environment, forward.IN_ENVIRONMENT: egress.token}
