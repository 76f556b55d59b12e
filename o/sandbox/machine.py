"""What this machine can isolate with: found once, when the executor starts."""

import os
import sys
import sysconfig
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from o.sandbox.inside import landlock, libc
from o.sandbox.inside.syscalls import ARCHITECTURES

# Users of children, when the executor may choose: above every range that distributions and systemd give out.
_FIRST_USER = 1_900_000_000
_USERS_EACH = 1024
_CAP_KILL, _CAP_SETGID, _CAP_SETUID = 5, 6, 7

# What programs need of /etc: nothing in it is secret, and nothing else of /etc is shown.
_ETC = (
    "alternatives", "ca-certificates", "ca-certificates.conf", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime",
    "mime.types", "pki/ca-trust", "pki/tls/certs", "ssl/certs", "ssl/openssl.cnf",
)  # fmt: skip
_TOP = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Machine:
    """Facts, and what tests or the kernel take away from them.

    Attributes:
        users: first of the uids that children may be given; None where the executor is an ordinary user.
        landlock: version of the kernel's interface, 0 for none.
        seccomp: whether there is a filter for this processor.
        without: layers left out on purpose.
    """

    users: int | None
    landlock: int
    seccomp: bool
    without: frozenset[str] = frozenset()

    @classmethod
    def found(cls, without: Collection[str] = ()) -> "Machine":
        """Look around. `without` names layers to leave out, for tests: bubblewrap, landlock, seccomp, own-user."""
        linux = sys.platform == "linux"
        return cls(
            users=_users() if linux and "own-user" not in without else None,
            landlock=landlock.version() if linux and "landlock" not in without else 0,
            seccomp=linux and libc.MACHINE in ARCHITECTURES and "seccomp" not in without,
            without=frozenset(without),
        )


def users_each() -> int:
    """How many children one executor can give a user of their own."""
    return _USERS_EACH


def interpreter() -> str:
    """The Python that children run: the one under the virtual environment, which needs no file of it."""
    return str(Path(getattr(sys, "_base_executable", sys.executable) or sys.executable).resolve())


def package_root() -> str:
    """The folder that `import o` looks in."""
    return str(_PACKAGE.parent)


def site_packages() -> tuple[str, ...]:
    """Where the libraries are that O ships with."""
    return tuple(dict.fromkeys(str(Path(sysconfig.get_path(name)).resolve()) for name in ("purelib", "platlib")))


def readable() -> tuple[str, ...]:
    """The trees that every child may read: system libraries, the interpreter, its libraries, and our own few files."""
    ours = (str(_PACKAGE / "__init__.py"), str(_PACKAGE / "sandbox"))
    etc = tuple(f"/etc/{name}" for name in _ETC)
    top = tuple(f"/{name}" for name in _TOP)
    wanted = ("/usr", *top, str(Path(sys.base_prefix).resolve()), *site_packages(), *ours, *etc)
    return tuple(path for path in dict.fromkeys(wanted) if Path(path).exists())


def unreachable(path: str) -> Path | None:
    """The first folder on the way to `path` that another user may not pass; None if all can."""
    way = [*reversed(Path(path).parents), Path(path)]
    return next((folder for folder in way if not folder.stat().st_mode & 0o001), None)


def _users() -> int | None:
    if os.geteuid() != 0 or not all(_capable(each) for each in (_CAP_KILL, _CAP_SETGID, _CAP_SETUID)):
        return None
    first = _FIRST_USER + os.getpid() % 65536 * _USERS_EACH  # two executors on one machine share no user
    mapped = [tuple(map(int, line.split())) for line in Path("/proc/self/uid_map").read_text().splitlines()]
    if any(start <= first and first + _USERS_EACH <= start + count for start, _, count in mapped):
        return first
    inside, _, count = mapped[-1]  # in a container that has only some users: its highest ones
    return inside + count - _USERS_EACH - 1 if count > 2 * _USERS_EACH else None


def _capable(capability: int) -> bool:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> capability & 1)
    return False
