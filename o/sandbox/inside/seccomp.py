"""A seccomp filter, assembled here: system calls that no tool needs, and that have opened sandboxes before.

Everything else is allowed: the filter stands behind namespaces and Landlock and closes what those leave open.
"""

import ctypes
import errno
import os
import struct
from dataclasses import dataclass

from o.sandbox.inside import libc
from o.sandbox.inside.syscalls import ARCHITECTURES, ATTRIBUTES, DENIED, EXAMINED, STRANGERS

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_KILL, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_X32 = 0x40000000
_MODE_FILTER = 2

_AF_UNIX, _AF_INET, _AF_INET6, _SOCK_STREAM, _SOCK_TYPE = 1, 2, 10, 1, 0xF
_SOL_SOCKET, _SO_SNDBUF = 1, 7
_F_SETOWN, _F_SETOWN_EX, _FIOSETOWN, _SIOCSPGRP = 8, 15, 0x8901, 0x8902
_CLONE_NEW = 0x7E020000  # user, pid, net, ipc, uts, mount and cgroup namespaces
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
# Calls that may concern this process (0) but no other, and which argument names it.
_OWN_ONLY = {
    "prlimit64": 0,
    "sched_setaffinity": 0,
    "sched_setscheduler": 0,
    "sched_setparam": 0,
    "sched_setattr": 0,
    "setpriority": 1,
    "ioprio_set": 1,
}
_SIGNALS = ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo")


@dataclass(frozen=True)
class Policy:
    """What of the examined calls is let through.

    Attributes:
        unix: AF_UNIX sockets: harmless only where the network namespace and the file system are ours.
        tcp: TCP sockets, for a forwarder in a network namespace of our own.
        signals: signals to other processes: harmless only where they cannot reach strangers.
        owner: whether files of others may lie in sight that belong to its user.
    """

    unix: bool
    tcp: bool
    signals: bool
    owner: bool = False


def install(policy: Policy) -> None:
    """Filter this process and all it will start, for good. Needs no_new_privs.

    Raises:
        OSError: the kernel has no seccomp, or this is no machine that the filter knows.
    """
    program = assemble(policy, libc.MACHINE, os.getpid())
    code = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))

    header = Program(len(program) // 8, ctypes.addressof(code))
    libc.prctl(libc.PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(header))


def assemble(policy: Policy, machine: str, pid: int) -> bytes:
    """The filter as the kernel reads it. `pid` may signal itself, whatever the policy. Raises OSError."""
    if machine not in ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"there is no filter for {machine}")
    architecture, column = ARCHITECTURES[machine]
    out = [_op(_LOAD, _ARCHITECTURE), _op(_EQUAL, architecture, 1, 0), _op(_RETURN, _KILL), _op(_LOAD, _NUMBER)]
    if machine == "x86_64":
        out += [_op(_AT_LEAST, _X32, 0, 1), _deny(errno.EPERM)]
    for numbers in DENIED.values():
        out += _on(numbers[column], [_deny(errno.EPERM)])
    if not policy.unix:
        for numbers in STRANGERS.values():
            out += _on(numbers[column], [_deny(errno.EPERM)])
    if policy.owner:
        for numbers in ATTRIBUTES.values():
            # Said to be done, without effect: much that copies and unpacks would else fail for no good.
            out += _on(numbers[column], [_deny(0)])
    for name, rule in _examined(policy, pid).items():
        out += _on(EXAMINED[name][column], rule)
    return b"".join([*out, _op(_RETURN, _ALLOW)])


def _examined(policy: Policy, pid: int) -> dict[str, list[bytes]]:
    allow = _op(_RETURN, _ALLOW)
    families: list[bytes] = [_argument(0)]
    if policy.unix:
        families += [_op(_EQUAL, _AF_UNIX, 0, 1), allow]
    if policy.tcp:
        stream = [_argument(1), _op(_AND, _SOCK_TYPE), _op(_EQUAL, _SOCK_STREAM, 0, 1), allow]
        families += [_op(_EQUAL, _AF_INET, 1, 0), _op(_EQUAL, _AF_INET6, 0, len(stream)), *stream]
    rules = {
        "socket": [*families, _deny(errno.EACCES)],
        # Its flags lie in memory that another thread may change, so no filter can read them: glibc falls back to clone.
        "clone3": [_deny(errno.ENOSYS)],
        "clone": [_argument(0), _op(_ANY_BIT, _CLONE_NEW, 0, 1), _deny(errno.EPERM), allow],
        "ioctl": _unless(1, (_TIOCSTI, _TIOCLINUX, _FIOSETOWN, _SIOCSPGRP)),
        # What lies in a socket is memory that nobody counts: buffers stay small, and nobody needs to know.
        "setsockopt": [
            _argument(1),
            _op(_EQUAL, _SOL_SOCKET, 0, 3),
            _argument(2),
            _op(_EQUAL, _SO_SNDBUF, 0, 1),
            _deny(0),
            allow,
        ],
        # Whoever owns a descriptor gets its signals.
        "fcntl": _unless(1, (_F_SETOWN, _F_SETOWN_EX)),
    }
    if not policy.unix:
        # A datagram socket sends to any address, though it came as one of a pair.
        type_of_pair = [_argument(1), _op(_AND, _SOCK_TYPE), _op(_EQUAL, _SOCK_STREAM, 1, 0)]
        rules["socketpair"] = [*type_of_pair, _deny(errno.EACCES), allow]
    for name, position in _OWN_ONLY.items():
        rules[name] = [_argument(position), _op(_EQUAL, 0, 1, 0), _deny(errno.EPERM), allow]
    if not policy.signals:
        for name in _SIGNALS:
            rules[name] = [_argument(0), _op(_EQUAL, pid, 1, 0), _deny(errno.EPERM), allow]
        rules["pidfd_send_signal"] = [_deny(errno.EPERM)]
    return rules


def _unless(position: int, refused: tuple[int, ...]) -> list[bytes]:
    """Allow the call, unless this argument is one of those."""
    tests = [_op(_EQUAL, value, len(refused) - at, 0) for at, value in enumerate(refused)]
    return [_argument(position), *tests, _op(_RETURN, _ALLOW), _deny(errno.EPERM)]


def _on(number: int | None, rule: list[bytes]) -> list[bytes]:
    """The rule, skipped unless the loaded system call is `number`; every rule ends in a return."""
    return [] if number is None else [_op(_EQUAL, number, 0, len(rule)), *rule]


def _argument(position: int) -> bytes:
    """Load the low half of an argument: all of these are 32 bits to the kernel (clone's upper flags are clone3's)."""
    return _op(_LOAD, _ARGUMENTS + 8 * position)


def _deny(error: int) -> bytes:
    return _op(_RETURN, _ERRNO | error)


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
