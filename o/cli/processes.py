"""The processes `o up` starts, one command each, for machines where something else supervises them."""

import os
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from o.cli.local import DataDir, Local
from o.embedded import executor as executor_process
from o.embedded.children import bare_env


def server(
    host: Annotated[str | None, typer.Option(help="Address to listen on (O_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (O_PORT).")] = None,
    fd: Annotated[int | None, typer.Option(help="Take connections from this listening descriptor.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Run one API process until SIGTERM or Ctrl-C; open requests get five seconds to end."""
    local = Local.load(host=host, port=port, data_dir=data_dir)
    os.environ.update(local.environment())
    configured = uvicorn.Config(
        "api.app:create_app",
        factory=True,
        host=local.settings.host,
        port=local.settings.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        log_level=local.settings.log_level,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=5,
    )
    runner = uvicorn.Server(configured)
    runner.run(sockets=None if fd is None else [socket.socket(fileno=fd)])
    # uvicorn only logs why it could not start.
    if not runner.started:
        raise typer.Exit(1)


def worker(
    queues: Annotated[list[str] | None, typer.Argument(help="Task queues to work on; all of them if none.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Run one worker process until SIGTERM or Ctrl-C; what it works on gets a grace to end."""
    local = Local.load(data_dir=data_dir)
    os.execve(sys.executable, [sys.executable, "-m", "workers", *(queues or [])], local.environment())  # noqa: S606


def local_model(
    gguf: Annotated[Path | None, typer.Option(help="GGUF file to serve (O_LOCAL_MODEL).")] = None,
    data_dir: DataDir = None,
) -> None:
    """Run the process of the local models on its unix socket until SIGTERM or Ctrl-C."""
    local = Local.load(local_model=gguf, data_dir=data_dir)
    local.layout.make()
    chosen = ["--gguf", str(local.settings.local_model)] if local.settings.local_model else []
    environment = local.environment()
    where = ["--socket", environment["O_LOCAL_MODEL_SOCKET"]]
    command = [sys.executable, "-m", "o.embedded.local_model", *where, *chosen]
    os.execve(sys.executable, command, environment)  # noqa: S606


def executor(data_dir: DataDir = None) -> None:
    """Run the executor of tools on its unix socket until SIGTERM or Ctrl-C; it gets no credentials."""
    local = Local.load(data_dir=data_dir)
    local.layout.make()
    path = local.environment()["O_SANDBOX_SOCKET"]
    command = executor_process.command(local.settings, ("--socket", path))
    os.execve(sys.executable, command, bare_env())  # noqa: S606
