"""`o config`."""

from dataclasses import asdict

from o.cli.output import Json, emit, table
from o.settings import Settings


def config(json: Json = False) -> None:
    """Show every setting, its variable, its value (secrets masked) and where the value came from."""
    described = Settings.load().describe()
    if json:
        emit([asdict(entry) for entry in described])
        return
    table(
        ("variable", "value", "from", "meaning"),
        [(entry.variable, entry.value, entry.origin, entry.meaning) for entry in described],
    )
