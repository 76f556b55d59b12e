"""uv as builds use it: its two commands, what it may see, and its complaints in one line."""

import re
import ssl
from collections.abc import Iterable
from pathlib import Path

import uv

from o.errors import InvalidArgument
from o.sandbox import machine

_MOST_LOCKED = 200
_LONGEST_REASON = 600  # characters
_LOCKED = re.compile(r"[A-Za-z0-9._-]+==[^\s;\\]+( ?; ?[^\\]+)? \\?")
_HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
# Boxes and arrows of a terminal, and what comes before uv's own words.
_DRAWING = re.compile(r"[│╰├─▶×✗]+|^\s*(error|hint|Caused by):\s*", re.IGNORECASE | re.MULTILINE)
_PATH = re.compile(r"(?<![\w:/.])/[\w.+-]+(/[\w.+-]*)+")
_PASSWORD = re.compile(r"//[^/\s@]*@")
_ONLY_WHEELS = "only packages with a wheel for this machine are installed: nothing is built from source"
# What uv leaves out, by a word of what it says.
_HINTS = {
    "tunnel error": "the proxy did not let it through: whoever runs O can open a private index with O_ALLOWED_HOSTS",
    "wheel": _ONLY_WHEELS,
    "building": _ONLY_WHEELS,
}


def program() -> Path:
    """Where uv is."""
    return Path(uv.find_uv_bin()).resolve()


def compile_command(folder: Path) -> tuple[str, ...]:
    """Find versions for `folder/requirements.in`, and write them with their hashes to `folder/resolved.txt`."""
    resolve = ("pip", "compile", str(folder / "requirements.in"), "--output-file", str(folder / "resolved.txt"))
    how = ("--generate-hashes", "--no-annotate", "--no-header", "--no-build", "--quiet")
    return (str(program()), *resolve, *how, "--cache-dir", str(folder / "cache-resolve"))


def install_command(folder: Path) -> tuple[str, ...]:
    """Install `folder/lock.txt`, and nothing else, into `folder/site`."""
    install = ("pip", "install", "--requirements", str(folder / "lock.txt"), "--target", str(folder / "site"))
    how = ("--require-hashes", "--no-deps", "--no-build", "--link-mode", "hardlink", "--compile-bytecode", "--quiet")
    # A cache of its own: the two commands may run as different users.
    return (str(program()), *install, *how, "--cache-dir", str(folder / "cache-install"))


def environment(index: str | None) -> dict[str, str]:
    """All that uv is told besides: nothing of this machine's configuration."""
    variables = {
        "UV_NO_CONFIG": "1",
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON": machine.interpreter(),
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_KEYRING_PROVIDER": "disabled",
        "UV_HTTP_TIMEOUT": "30",
        "UV_HTTP_RETRIES": "2",
        "UV_CONCURRENT_DOWNLOADS": "8",
        "UV_CONCURRENT_INSTALLS": "2",
        "TOKIO_WORKER_THREADS": "2",
        "RAYON_NUM_THREADS": "2",
        "NO_COLOR": "1",
    }
    paths = ssl.get_default_verify_paths()
    if paths.cafile is not None or paths.capath is not None:
        variables["UV_SYSTEM_CERTS"] = "1"  # the operator may have added a certificate authority to the machine's
    if index is not None:
        variables["UV_DEFAULT_INDEX"] = index
    return variables


def check_lock(text: str) -> None:
    """See that a lock is only pinned versions with their hashes.

    Raises:
        InvalidArgument: it has more packages than are installed for one tool, or something else in it.
    """
    pinned = 0
    for line in text.splitlines():
        if _LOCKED.fullmatch(line):
            pinned += 1
        elif line and not _HASH.fullmatch(line):
            raise InvalidArgument("pip_requirements: what they were resolved to is no list of pinned versions")
    if pinned > _MOST_LOCKED:
        raise InvalidArgument(f"pip_requirements: they need {pinned} packages, more than the {_MOST_LOCKED} allowed")


def complaint(requirements: Iterable[str], output: str) -> str:
    """Why uv failed, in one line, without paths of this machine or passwords of its index."""
    words = " ".join(_DRAWING.sub(" ", _PASSWORD.sub("//", output)).split())
    words = _PATH.sub("(a file)", words)[:_LONGEST_REASON] or "uv gave no reason"
    hints = [hint for sign, hint in _HINTS.items() if sign in words]
    more = f" ({hints[0]})" if hints else ""
    return f"pip_requirements: {', '.join(requirements)} cannot be installed: {words}{more}"
