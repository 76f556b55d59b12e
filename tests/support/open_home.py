"""Runs a command as another user, who can read the interpreter: `open_home.py UID COMMAND…`, 0 for root itself.

Tests of ordinary users run as root on machines whose Python lies under root's closed home. In a mount namespace of its
own that home is shown open, with the interpreter in it and nothing else; the real one is not touched.
"""

import ctypes
import os
import sys
from pathlib import Path

_CLONE_NEWNS, _MS_BIND, _MS_REC, _MS_PRIVATE = 0x20000, 4096, 16384, 1 << 18
_LIBC = ctypes.CDLL(None, use_errno=True)


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    if _LIBC.mount(source.encode(), target.encode(), kind.encode(), flags, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), f"mount {target}")


def main() -> None:
    user, *command = sys.argv[1:]
    closed = {path for path in (Path.home(), *Path.home().parents) if not path.stat().st_mode & 0o001}
    interpreter = Path(sys.base_prefix).resolve()
    if closed & set(interpreter.parents):
        if _LIBC.unshare(_CLONE_NEWNS) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        _mount("none", "/", "", _MS_REC | _MS_PRIVATE)
        kept = os.open(interpreter, os.O_PATH)
        home = str(Path.home())
        _mount("tmpfs", home, "tmpfs", 0, "mode=755")
        interpreter.mkdir(mode=0o755, parents=True)
        _mount(f"/proc/self/fd/{kept}", str(interpreter), "", _MS_BIND | _MS_REC)
    if int(user):
        os.setgroups([])
        os.setresgid(*[int(user)] * 3)
        os.setresuid(*[int(user)] * 3)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
