"""Where the embedded parts keep what they keep, and with which modes."""

import hashlib
import os
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from o.errors import ProjectError

# The longest path a unix socket may have: 107 bytes on Linux, 103 on macOS.
_SOCKET_PATH = 103 if sys.platform == "darwin" else 107
POSTGRES_SOCKET = ".s.PGSQL.5432"


class DataDirUnusable(ProjectError):
    """The data folder, or a folder above it, does not allow what O must do there."""

    code = "data_dir_unusable"


@dataclass(frozen=True)
class Layout:
    """The paths under one data folder. Nothing outside it is ever changed, except a runtime folder of our own.

    Attributes:
        data_dir: absolute path.
        shared: whether another user's processes (Postgres, when O runs as root) must pass through to their own
            folder: then the folders above that one get mode 711, and everything in them stays closed by its own mode.
    """

    data_dir: Path
    shared: bool

    @classmethod
    def of(cls, data_dir: Path) -> "Layout":
        return cls(data_dir.resolve(), shared=os.geteuid() == 0)

    @property
    def logs(self) -> Path:
        return self.data_dir / "logs"

    @property
    def lock(self) -> Path:
        return self.data_dir / "o.lock"

    @property
    def postgres(self) -> Path:
        return self.data_dir / "postgres"

    @property
    def temporal_db(self) -> Path:
        return self.data_dir / "temporal.db"

    @property
    def run(self) -> Path:
        """Folder of the unix sockets: `run` in the data folder, or a short one elsewhere if that path is too long."""
        inside = self.data_dir / "run"
        if len(os.fsencode(inside / "postgres" / f"{POSTGRES_SOCKET}.lock")) <= _SOCKET_PATH:
            return inside
        name = f"o-{os.geteuid()}-{hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:12]}"
        return Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / name

    @property
    def postgres_socket_dir(self) -> Path:
        return self.run / "postgres"

    def model_socket(self, wanted: Path) -> Path:
        """The local model's socket: where it is wanted, or in the short runtime folder if that path is too long."""
        return wanted if len(os.fsencode(wanted)) <= _SOCKET_PATH else self.run / wanted.name

    def sandbox_socket(self, wanted: Path) -> Path:
        """The executor's socket, likewise."""
        return self.model_socket(wanted)

    @property
    def database_url(self) -> str:
        """The embedded database, reached over its socket."""
        return f"postgresql:///o?host={quote(str(self.postgres_socket_dir), safe='/')}&user=postgres"

    def make(self) -> None:
        """Make the folders, or put their modes right.

        Raises:
            DataDirUnusable: one of them cannot be made or belongs to somebody else.
        """
        passable = 0o711 if self.shared else 0o700
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder, mode in ((self.data_dir, passable), (self.run, passable), (self.logs, 0o700)):
                _own(folder, mode, ours=self.data_dir in (folder, folder.parent))
        except OSError as error:
            raise DataDirUnusable(
                f"the data folder {self.data_dir} cannot be used ({error.strerror}): "
                "name another with --data-dir or O_DATA_DIR"
            ) from error


def _own(folder: Path, mode: int, *, ours: bool) -> None:
    """Make `folder` with `mode`. In a shared place such as /tmp somebody may have put a folder there first."""
    folder.mkdir(mode=mode, exist_ok=True)
    found = folder.lstat()  # a link would lead a chmod out of the data folder
    if not stat.S_ISDIR(found.st_mode) or not (ours or found.st_uid == os.geteuid()):
        raise DataDirUnusable(f"{folder} is no folder of this user: name another data folder with O_DATA_DIR")
    if stat.S_IMODE(found.st_mode) != mode:
        folder.chmod(mode)
