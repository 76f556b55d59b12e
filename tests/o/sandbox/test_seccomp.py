"""The filter's program, run on a small interpreter of its own language."""

import errno
import struct

import pytest

from o.sandbox.inside.seccomp import Policy, assemble
from o.sandbox.inside.syscalls import ARCHITECTURES, DENIED, EXAMINED

_ALLOWED, _KILLED = 0x7FFF0000, 0x80000000
_CLOSED = Policy(unix=False, tcp=False, signals=False)
_OPEN = Policy(unix=True, tcp=True, signals=True)
_PID = 4711


def _judge(program: bytes, architecture: int, number: int, *arguments: int) -> int:
    """What the kernel would answer, by the rules of classic BPF."""
    data = struct.pack("=IIQ6Q", number, architecture, 0, *(*arguments, *(0,) * (6 - len(arguments))))
    operations = list(struct.iter_unpack("=HBBI", program))
    at, register = 0, 0
    while True:
        code, if_true, if_false, value = operations[at]
        at += 1
        match code:
            case 0x20:
                register = struct.unpack_from("=I", data, value)[0]
            case 0x54:
                register &= value
            case 0x06:
                return int(value)
            case _:
                holds = {0x15: register == value, 0x35: register >= value, 0x45: bool(register & value)}[code]
                at += if_true if holds else if_false


def _verdict(policy: Policy, machine: str, name: str, *arguments: int) -> int:
    architecture, column = ARCHITECTURES[machine]
    number = {**DENIED, **EXAMINED}[name][column]
    assert number is not None
    return _judge(assemble(policy, machine, _PID), architecture, number, *arguments)


@pytest.mark.parametrize("machine", sorted(ARCHITECTURES))
def test_every_denied_call_is_denied(machine: str) -> None:
    architecture, column = ARCHITECTURES[machine]
    program = assemble(_OPEN, machine, _PID)
    for name, numbers in DENIED.items():
        if (number := numbers[column]) is not None:
            assert _judge(program, architecture, number) == 0x50000 | errno.EPERM, name
    assert len(program) // 8 < 4096  # the kernel takes no more


@pytest.mark.parametrize("machine", sorted(ARCHITECTURES))
@pytest.mark.parametrize(
    ("name", "arguments", "policy", "allowed"),
    [
        ("socket", (1, 1), _OPEN, True),
        ("socket", (1, 1), _CLOSED, False),
        ("socket", (2, 1), _OPEN, True),
        ("socket", (10, 1 | 0o4000), _OPEN, True),
        ("socket", (2, 1), _CLOSED, False),
        ("socket", (2, 2), _OPEN, False),
        ("socket", (2, 3), _OPEN, False),
        ("socket", (16, 3), _OPEN, False),
        ("socket", (17, 3), _OPEN, False),
        ("socket", (40, 1), _OPEN, False),
        ("clone", (0x11,), _CLOSED, True),
        ("clone", (0x10000000,), _OPEN, False),
        ("clone", (0x00020000,), _OPEN, False),
        ("clone3", (0,), _OPEN, False),
        ("ioctl", (0, 0x5412), _OPEN, False),
        ("ioctl", (0, 0x541C), _OPEN, False),
        ("ioctl", (0, 0x5401), _CLOSED, True),
        ("prlimit64", (0,), _CLOSED, True),
        ("prlimit64", (1,), _OPEN, False),
        ("setpriority", (0, 0), _CLOSED, True),
        ("setpriority", (0, 1), _OPEN, False),
        ("kill", (_PID,), _CLOSED, True),
        ("kill", (1,), _CLOSED, False),
        ("kill", (2**32 - 1,), _CLOSED, False),
        ("kill", (1,), _OPEN, True),
        ("tgkill", (_PID, _PID), _CLOSED, True),
        ("pidfd_send_signal", (3,), _CLOSED, False),
    ],
)
def test_examined_calls_are_judged_by_their_arguments(
    machine: str, name: str, arguments: tuple[int, ...], policy: Policy, allowed: bool
) -> None:
    assert (_verdict(policy, machine, name, *arguments) == _ALLOWED) is allowed


def test_other_processors_are_killed_and_the_x32_numbers_denied() -> None:
    program = assemble(_OPEN, "x86_64", _PID)
    assert _judge(program, ARCHITECTURES["aarch64"][0], 0) == _KILLED
    assert _judge(program, ARCHITECTURES["x86_64"][0], 0x40000000) == 0x50000 | errno.EPERM
    assert _judge(program, ARCHITECTURES["x86_64"][0], 0) == _ALLOWED


def test_an_unknown_processor_has_no_filter() -> None:
    with pytest.raises(OSError, match="riscv64"):
        assemble(_OPEN, "riscv64", _PID)
