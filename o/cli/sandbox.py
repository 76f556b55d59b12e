"""`o tools sandbox`: which layers of isolation hold on this machine."""

import asyncio

import typer

from o.cli.output import Json, emit, say, table, warn
from o.embedded.layout import Layout
from o.sandbox.client import SocketSandbox
from o.settings import Settings


def sandbox(json: Json = False) -> None:
    """Show what the sandbox's self-test found; exit code 1 where people's own tools are refused."""
    settings = Settings.load()
    socket = Layout.of(settings.data_dir).sandbox_socket(settings.sandbox_socket)
    report = asyncio.run(SocketSandbox(socket).report())
    if json:
        emit(report.model_dump(mode="json"))
    else:
        table(
            ("layer", "holds", "note"),
            [(layer.name, "yes" if layer.active else "NO", layer.note) for layer in report.layers],
        )
        say("languages: " + ", ".join(report.languages))
        (say if report.sufficient else warn)(report.message)
    if not report.sufficient:
        raise typer.Exit(1)
