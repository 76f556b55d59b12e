"""Landlock: this process, and all it starts, may touch only what is named."""

import ctypes
import os
from collections.abc import Iterable

from o.sandbox.inside import libc

_SYS_CREATE_RULESET, _SYS_ADD_RULE, _SYS_RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH = 1
_CREATE_RULESET_VERSION = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_BLOCK = 1 << 6, 1 << 11
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV

# Bits of file rights, network rights and scopes that each version of the interface brought.
_FS_BITS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_NET_BITS = {4: 2}
_SCOPE_BITS = {6: 2}

SCOPES_SIGNALS = 6


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def version() -> int:
    """The kernel's version of the interface; 0 where there is none."""
    try:
        return libc.syscall(_SYS_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_CREATE_RULESET_VERSION))
    except OSError:
        return 0


def restrict(*, readable: Iterable[str], writable: Iterable[str], tcp: bool) -> int:
    """Deny this thread every file but these trees, TCP unless `tcp`, and signals to others; returns the version used.

    Paths that do not exist are left out. Needs no_new_privs. Raises OSError where the kernel has no Landlock.
    """
    found = version()
    rights = _mask(_FS_BITS, found)
    rules = _Ruleset(rights, 0 if tcp else _mask(_NET_BITS, found), _mask(_SCOPE_BITS, found))
    ruleset = libc.syscall(
        _SYS_CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(ctypes.sizeof(rules)), ctypes.c_uint32(0)
    )
    try:
        for path in readable:
            _allow(ruleset, path, _READ)
        for path in writable:
            _allow(ruleset, path, rights & ~(_MAKE_CHAR | _MAKE_BLOCK))
        libc.syscall(_SYS_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)
    return found


def _mask(bits: dict[int, int], found: int) -> int:
    return (1 << max((count for since, count in bits.items() if since <= found), default=0)) - 1


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not os.path.isdir(path):  # noqa: PTH112 - pathlib would be a slow import here
            rights &= _ON_FILES
        rule = _PathBeneath(rights, parent)
        libc.syscall(
            _SYS_ADD_RULE,
            ctypes.c_int(ruleset),
            ctypes.c_int(_RULE_PATH_BENEATH),
            ctypes.byref(rule),
            ctypes.c_uint32(0),
        )
    finally:
        os.close(parent)
