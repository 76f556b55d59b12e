"""What a tool asks of the sandbox: where it may reach, and what one call may use."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_MOST_HOSTS = 100
_HOST = re.compile(r"(\*\.)?(\[[0-9a-fA-F:.]+\]|[^\s:/@*\[\]?#\x00]+)(:[0-9]{1,5})?")


def _host(entry: str) -> str:
    """What surely is no host; the proxy that opens the way out reads the rest, and judges where it leads."""
    if not _HOST.fullmatch(entry):
        raise ValueError("is no host; write api.example.com, *.example.com or host:port, without scheme or path")
    return entry


Host = Annotated[str, Field(min_length=1, max_length=260), AfterValidator(_host)]


class ToolLimits(BaseModel):
    """Limits of one call of a tool. None means what the operator's settings say, who also sets the most there may be.

    Attributes:
        network: hosts it may reach: names, `*.` and a name, either with a port (80 and 443 unless said). None at all
            if empty.
        timeout: seconds from its start to its end.
        cpu: seconds of processor time, of each of its processes.
        memory: MiB, all its processes together.
        processes: processes and threads at one time.
        open_files: descriptors of each process.
        disk: MiB in its working folder.
        output: KiB that are kept of stdout, and of stderr.
        result: KiB of what it returns, as JSON.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: Annotated[tuple[Host, ...], Field(max_length=_MOST_HOSTS)] = ()
    timeout: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] | None = None
    cpu: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] | None = None
    memory: Annotated[int, Field(strict=True, ge=64, le=2**20)] | None = None
    processes: Annotated[int, Field(strict=True, ge=1, le=4096)] | None = None
    open_files: Annotated[int, Field(strict=True, ge=16, le=65536)] | None = None
    disk: Annotated[int, Field(strict=True, ge=1, le=2**20)] | None = None
    output: Annotated[int, Field(strict=True, ge=1, le=16 * 1024)] | None = None
    result: Annotated[int, Field(strict=True, ge=1, le=16 * 1024)] | None = None
