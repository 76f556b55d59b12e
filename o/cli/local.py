"""The settings of a process of this machine: embedded parts are found where `o up` runs them."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from o.embedded.layout import POSTGRES_SOCKET, Layout
from o.errors import Unavailable
from o.settings import Settings

DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Folder of O's state (O_DATA_DIR).")]


@dataclass(frozen=True)
class Local:
    """Addresses with the embedded parts' own filled in."""

    settings: Settings
    layout: Layout
    database_url: str

    @classmethod
    def load(cls, **flags: object) -> "Local":
        """Read the environment, flags winning. Raises BadSettings."""
        settings = Settings.load(**flags)
        layout = Layout.of(settings.data_dir)
        return cls(settings, layout, settings.database_url or layout.database_url)

    def reachable_database(self) -> str:
        """The database's address. Raises Unavailable if it is the embedded one and does not run."""
        embedded = self.settings.database_url is None
        if embedded and not (self.layout.postgres_socket_dir / POSTGRES_SOCKET).exists():
            raise Unavailable(
                f"the embedded database of {self.layout.data_dir} does not run: "
                "start it with `o up`, or name another with O_DATA_DIR or O_DATABASE_URL"
            )
        return self.database_url

    def environment(self) -> dict[str, str]:
        """What a process of O that runs on this machine must find in its environment."""
        return {
            **os.environ,
            **self.settings.environment(),
            "O_DATABASE_URL": self.database_url,
            "TEMPORAL_ADDRESS": self.settings.temporal,
            "O_LOCAL_MODEL_SOCKET": str(self.layout.model_socket(self.settings.local_model_socket)),
            "O_SANDBOX_SOCKET": str(self.layout.sandbox_socket(self.settings.sandbox_socket)),
        }
