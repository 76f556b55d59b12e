"""`o up`: the whole platform on this machine, under one supervisor."""

import asyncio
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.status import Status

from o.cli.client import Api
from o.cli.output import Json, emit, err, say, table, warn
from o.embedded.supervisor import Running, Supervisor
from o.errors import ProjectError
from o.settings import Settings

_PERSONA = (
    "I am O, a helpful agent. I remember what matters about the person I talk to by editing my memory blocks, "
    "and I say plainly when I do not know something."
)


def up(
    data_dir: Annotated[Path | None, typer.Option(help="Folder of all state (O_DATA_DIR).")] = None,
    host: Annotated[str | None, typer.Option(help="Address the API listens on (O_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the API (O_PORT).")] = None,
    temporal_port: Annotated[int | None, typer.Option(help="Port of Temporal (O_TEMPORAL_PORT).")] = None,
    ui_port: Annotated[int | None, typer.Option(help="Port of the Temporal UI (O_UI_PORT).")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes (O_WORKERS).")] = None,
    json: Json = False,
) -> None:
    """Start Postgres, Temporal, the API and workers, restart what crashes, stop all of it on Ctrl-C.

    O_DATABASE_URL and TEMPORAL_ADDRESS replace the embedded parts. With --json the one document is printed when
    everything is ready.
    """
    settings = Settings.load(
        data_dir=data_dir, host=host, port=port, temporal_port=temporal_port, ui_port=ui_port, workers=workers
    )
    began = time.monotonic()
    with Status("starting", console=err) as status:

        async def ready(running: Running) -> None:
            agent = await asyncio.to_thread(_first_agent, settings, running)
            status.stop()
            _print(running, agent, time.monotonic() - began, json=json)

        supervisor = Supervisor(settings, report=warn, progress=lambda part: status.update(f"starting {part}"))
        asyncio.run(supervisor.run(ready))


def _first_agent(settings: Settings, running: Running) -> str | None:
    """The name of an agent to talk to, made if there is none; None if the API does not let us."""
    try:
        with Api(settings.model_copy(update={"base_url": running.api})) as api:
            found = api.get("/v1/agents/", limit=1)
            agent: dict[str, Any] = found[0] if found else api.post("/v1/agents/", _recipe(settings))
    except ProjectError as error:
        warn(f"no first agent: {error.message}")
        return None
    return str(agent["name"])


def _recipe(settings: Settings) -> dict[str, Any]:
    return {
        "name": "O",
        "model": settings.default_model,
        "embedding": settings.default_embedding,
        "memory_blocks": [
            {"label": "human", "value": "I know nothing about this person yet."},
            {"label": "persona", "value": _PERSONA},
        ],
        "include_base_tools": True,
    }


def _print(running: Running, agent: str | None, seconds: float, *, json: bool) -> None:
    talk = "o agents create NAME" if agent is None else f"o chat {agent}" if " " not in agent else f"o chat '{agent}'"
    if json:
        emit(
            {
                "api": running.api,
                "docs": f"{running.api}/docs",
                "temporal": running.temporal,
                "temporal_ui": running.ui,
                "database": running.database,
                "data_dir": str(running.data_dir),
                "agent": agent,
                "seconds": round(seconds, 2),
            }
        )
        return
    say(f"O is ready in {seconds:.1f} s", "bold green")
    rows = [
        ("API", running.api),
        ("docs", f"{running.api}/docs"),
        ("Temporal", running.temporal),
        ("Temporal UI", running.ui),
        ("database", running.database),
        ("data folder", running.data_dir),
        ("talk to it", talk),
    ]
    table(("", ""), [row for row in rows if row[1] is not None])
    say("Ctrl-C stops everything", "dim")
