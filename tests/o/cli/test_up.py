"""The real `o up`: every part a process of its own, killed and stopped as people and machines do it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from o.embedded.layout import Layout
from o.embedded.lock import holder
from o.embedded.ports import free
from tests.support.servers import folder, until

pytestmark = [pytest.mark.pg, pytest.mark.temporal]


class Up:
    """`o up` on free ports and a data folder of its own."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.ports = {name: str(free()) for name in ("--port", "--temporal-port", "--ui-port")}
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ}
        self.env = {
            **kept,
            "O_DATA_DIR": str(layout.data_dir),
            "O_DEFAULT_MODEL": "scripted/echo",
            "O_BASE_URL": f"http://127.0.0.1:{self.ports['--port']}",
            "TEMPORAL_NAMESPACE": "default",
        }
        self.process: subprocess.Popen[str] | None = None
        self.parts: list[psutil.Process] = []

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "o.cli.app", *arguments]

    def up(self, *more: str) -> list[str]:
        return self.command("up", *(part for option in self.ports.items() for part in option), *more)

    def start(self) -> dict[str, Any]:
        """Start, wait until it says that it is ready, and return what it said."""
        with (self.layout.data_dir.parent / f"{self.layout.data_dir.name}.err").open("a") as errors:
            self.process = subprocess.Popen(
                self.up("--json"), env=self.env, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if line.startswith("}"):
                self.parts = self.children()
                return dict(json.loads("".join(lines)))
        raise AssertionError(self.errors())

    def errors(self) -> str:
        return (self.layout.data_dir.parent / f"{self.layout.data_dir.name}.err").read_text()

    def run(self, *arguments: str, stdin: str | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), env={**self.env, **env}, input=stdin, capture_output=True, text=True, timeout=60
        )

    def children(self) -> list[psutil.Process]:
        assert self.process is not None
        return psutil.Process(self.process.pid).children(recursive=True)

    def child(self, *words: str) -> int:
        """The process id of the direct child whose command has these words."""
        assert self.process is not None
        for process in _living(psutil.Process(self.process.pid).children()):
            if set(words) <= set(process.cmdline()):
                return process.pid
        return 0

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        code = self.process.wait(40)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture
def up() -> Iterator[Up]:
    with folder() as layout:
        made = Up(layout)
        yield made
        if made.process is not None and made.process.poll() is None:
            made.stop(signal.SIGKILL)
            until(lambda: not _living(made.parts), "the parts ending")
        (layout.data_dir.parent / f"{layout.data_dir.name}.err").unlink(missing_ok=True)


def _living(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run; an orphan that has ended may wait for a container's first process to collect it."""
    living = []
    for process in processes:
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                living.append(process)
        except psutil.NoSuchProcess:
            continue
    return living


def _modes(folder: Path) -> dict[Path, int]:
    return {parent: parent.stat().st_mode for parent in folder.parents}


def _refused(process: subprocess.CompletedProcess[str]) -> str:
    assert process.returncode == 1
    assert "Traceback" not in process.stderr
    assert len(process.stderr.strip().splitlines()) <= 3
    return process.stderr


def _healthy(url: str) -> bool:
    return httpx.get(f"{url}/v1/health/", timeout=10).status_code == 200


@pytest.mark.timeout(180)
def test_it_runs_restarts_and_stops_everything(up: Up) -> None:
    before = _modes(up.layout.data_dir)
    told = up.start()
    assert _modes(up.layout.data_dir) == before
    assert _healthy(told["api"])
    assert told["agent"] == "O"

    second = subprocess.run(up.up(), env=up.env, capture_output=True, text=True, timeout=30)
    assert up.process is not None
    assert f"process {up.process.pid} at {told['api']}" in _refused(second)

    answer = up.run("chat", "O", "-m", "good morning")
    assert answer.returncode == 0, answer.stderr
    assert "good morning" in answer.stdout
    doctor = up.run("doctor", O_PORT=up.ports["--port"], O_TEMPORAL_PORT=up.ports["--temporal-port"])
    assert doctor.returncode == 0, doctor.stdout

    for words in (("workers",), ("server", "--fd")):
        first = up.child(*words)
        os.kill(first, signal.SIGKILL)
        until(lambda first=first, words=words: up.child(*words) not in (0, first), "the restart")  # type: ignore[misc]
    assert _healthy(told["api"])  # the socket was kept: no request is refused meanwhile
    assert "was ended by SIGKILL; starting it again" in up.errors()

    parts = up.children()
    assert up.stop() == 0
    assert _living(parts) == []
    assert holder(up.layout.lock) is None
    assert not up.layout.model_socket(up.layout.data_dir / "run" / "local-model.sock").exists()
    assert _modes(up.layout.data_dir) == before


@pytest.mark.timeout(180)
def test_a_killed_supervisor_leaves_no_process_and_no_lock(up: Up) -> None:
    up.start()
    parts = up.children()
    up.stop(signal.SIGKILL)
    told = up.start()
    assert _healthy(told["api"])
    assert _living(parts) == []
    assert up.stop(signal.SIGINT) == 0


def test_a_signal_while_starting_stops_what_was_started(up: Up) -> None:
    process = subprocess.Popen(up.up(), env=up.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: (up.layout.logs / "temporal.log").exists(), "the start of Temporal")
    parts = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    assert process.wait(40) == 0
    assert _living(parts) == []
    assert holder(up.layout.lock) is None


@pytest.mark.parametrize(
    ("option", "variable"), [("--port", "O_PORT"), ("--temporal-port", "O_TEMPORAL_PORT"), ("--ui-port", "O_UI_PORT")]
)
def test_a_taken_port_is_named_before_anything_starts(up: Up, option: str, variable: str) -> None:
    with socket.create_server(("127.0.0.1", int(up.ports[option]))):
        refused = subprocess.run(up.up(), env=up.env, capture_output=True, text=True, timeout=30)
    assert f"choose another with {option} or {variable}" in _refused(refused)
    assert not up.layout.postgres.exists()
    assert not up.layout.temporal_db.exists()


@pytest.mark.timeout(180)
def test_an_open_address_needs_a_key(up: Up) -> None:
    refused = subprocess.run(up.up("--host", "0.0.0.0"), env=up.env, capture_output=True, text=True, timeout=60)
    assert "o keys create" in _refused(refused)
    assert holder(up.layout.lock) is None


def test_bad_flags_and_settings_are_misuse(up: Up) -> None:
    assert up.run("up", "--port", "99999999").returncode == 2
    bad = up.run("up", O_WORKERS="many")
    assert bad.returncode == 2
    assert bad.stderr.startswith("o: O_WORKERS:")


def test_help_is_quick(up: Up) -> None:
    began = time.monotonic()
    assert "doctor" in up.run("--help").stdout
    assert time.monotonic() - began < 2
