"""How the executor of untrusted code is started on this machine."""

import sys
from collections.abc import Sequence

from o.settings import Settings


def command(settings: Settings, listening: Sequence[str]) -> list[str]:
    """Its command line; `listening` is `--fd N` or `--socket PATH`. It gets no secret, here or in its environment."""
    limits = settings.sandbox_limits(settings.tool_timeout)
    return [
        *(sys.executable, "-m", "o.sandbox.executor", *listening),
        *("--pool", str(settings.sandbox_pool)),
        *("--limits", limits.model_dump_json()),
        *("--libraries", str(settings.data_dir / "libraries")),
        *(("--allow-unsandboxed",) if settings.allow_unsandboxed_tools else ()),
    ]
