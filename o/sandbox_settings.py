"""What tools may use in the sandbox, unless a tool says otherwise."""

from pydantic import Field
from pydantic_settings import BaseSettings

from o.sandbox.base import MIB, Limits

_LONGEST_CALL = 3600.0


class SandboxSettings(BaseSettings):
    """Part of `Settings`."""

    sandbox_pool: int = Field(default=2, ge=0, le=64, description="idle processes kept warm for tool calls")
    sandbox_memory: int = Field(default=512, ge=64, description="MiB of memory one tool call may use")
    sandbox_cpu: float = Field(default=60.0, gt=0, le=3600, description="seconds of processor time of one tool call")
    sandbox_processes: int = Field(default=64, ge=1, le=4096, description="processes and threads of one tool call")
    sandbox_open_files: int = Field(default=256, ge=16, le=65536, description="files a tool call's process may open")
    sandbox_disk: int = Field(default=256, ge=1, description="MiB one tool call may write to its folder")
    sandbox_output: int = Field(default=64, ge=1, le=16384, description="KiB kept of what a tool prints")
    allow_unsandboxed_tools: bool = Field(
        default=False, description="DANGEROUS: run tools even where this machine cannot isolate them"
    )

    def sandbox_limits(self, wall: float) -> Limits:
        """The limits of a call that brings none of its own; `wall` in seconds."""
        return Limits(
            wall=min(wall, _LONGEST_CALL),
            cpu=self.sandbox_cpu,
            memory=self.sandbox_memory * MIB,
            processes=self.sandbox_processes,
            open_files=self.sandbox_open_files,
            disk=self.sandbox_disk * MIB,
            output=self.sandbox_output * 1024,
        )
