"""Runs a command as another user, who can read the interpreter: `open_home.py UID COMMAND…`, 0 for root itself.

Tests of ordinary users run as root on machines whose Python, or this project, lies under root's closed home. In a mount
namespace of its own that home is shown open, with these in it and nothing else; the real one is not touched.
"""

import ctypes
import os
import sys
from pathlib import Path

_CLONE_NEWNS, _MS_BIND, _MS_REC, _MS_PRIVATE = 0x20000, 4096, 16384, 1 << 18
_ROOT = Path(__file__).resolve().parents[2]
_LIBC = ctypes.CDLL(None, use_errno=True)


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    if _LIBC.mount(source.encode(), target.encode(), kind.encode(), flags, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), f"mount {target}")


def main() -> None:
    user, *command = sys.argv[1:]
    trees = [Path(sys.base_prefix).resolve(), _ROOT]
    closed = {home for tree in trees for home in tree.parents if not home.stat().st_mode & 0o001}
    if closed:
        if _LIBC.unshare(_CLONE_NEWNS) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        _mount("none", "/", "", _MS_REC | _MS_PRIVATE)
        hidden = {tree: os.open(tree, os.O_PATH) for tree in trees if closed & set(tree.parents)}
        for home in sorted(closed, key=lambda home: len(home.parts))[:1]:
            _mount("tmpfs", str(home), "tmpfs", 0, "mode=755")
        for tree, kept in hidden.items():
            tree.mkdir(mode=0o755, parents=True)
            _mount(f"/proc/self/fd/{kept}", str(tree), "", _MS_BIND | _MS_REC)
    if int(user):
        os.setgroups([])
        os.setresgid(*[int(user)] * 3)
        os.setresuid(*[int(user)] * 3)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
