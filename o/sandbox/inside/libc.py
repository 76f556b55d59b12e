"""The C library's calls that Python does not wrap."""

import ctypes
import os

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long

MACHINE = os.uname().machine

PR_SET_PDEATHSIG = 1
PR_CAPBSET_DROP = 24
PR_SET_SECCOMP = 22
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47

_MS_READ_ONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT = 1, 2, 4, 32
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522
_SYS_CAPSET = {"x86_64": 126, "aarch64": 91}
_M_ARENA_MAX = -8


def syscall(number: int, *arguments: object) -> int:
    """Raises OSError."""
    result = int(_LIBC.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        _fail()
    return result


def prctl(option: int, argument: int = 0, third: object = 0) -> int:
    """Raises OSError."""
    wide = ctypes.c_ulong(third) if isinstance(third, int) else third
    result = int(_LIBC.prctl(option, ctypes.c_ulong(argument), wide, ctypes.c_ulong(0), ctypes.c_ulong(0)))
    if result < 0:
        _fail()
    return result


def limit_tmpfs(path: str, size: int, inodes: int) -> None:
    """Cap a mounted tmpfs in bytes and in files. Raises OSError."""
    options = f"size={size},nr_inodes={inodes}".encode()
    if _LIBC.mount(b"tmpfs", path.encode(), b"tmpfs", _MS_REMOUNT | _MS_NOSUID | _MS_NODEV, options) != 0:
        _fail()


def cover(path: str) -> None:
    """Hide a folder under an empty one. Raises OSError."""
    if _LIBC.mount(b"tmpfs", path.encode(), b"tmpfs", _MS_READ_ONLY | _MS_NOSUID | _MS_NODEV, b"size=4k") != 0:
        _fail()


def drop_capabilities() -> None:
    """Give up every capability of this process, and of what it will start. Raises OSError."""
    for capability in range(64):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:
            break  # past the kernel's last one, or none left to drop with: then there is nothing to give up
    prctl(PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    syscall(_SYS_CAPSET[MACHINE], ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)()))


def few_arenas() -> None:
    """Keep malloc from reserving 64 MiB of address space for every thread, which RLIMIT_AS counts."""
    if hasattr(_LIBC, "mallopt"):
        _LIBC.mallopt(_M_ARENA_MAX, 2)


def _fail() -> None:
    code = ctypes.get_errno()
    raise OSError(code, os.strerror(code))
