"""The local model process: its socket, its routes, its end."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx
import pytest

from o.embedded.on_demand import listen_unix

COMMAND = [sys.executable, "-m", "o.embedded.local_model"]


@contextmanager
def _running(path: Path, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    listener = listen_unix(path)
    assert listener is not None
    with listener:
        descriptor = listener.fileno()
        process = subprocess.Popen(
            [*COMMAND, "--fd", str(descriptor), *more],
            pass_fds=[descriptor],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate(timeout=20)


def _client(path: Path) -> httpx.Client:
    return httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://local", timeout=60)


def test_a_whole_life(tmp_path: Path) -> None:
    path = tmp_path / "model.sock"
    with _running(path) as process, _client(path) as client:
        assert client.get("/health").json() == {"status": "ok", "loaded": []}
        listed = {entry["id"]: entry for entry in client.get("/v1/models").json()["data"]}
        assert listed["smollm2-135m"]["context_window"] == 4096
        assert listed["all-minilm-l6-v2"]["dimensions"] == 384
        body = {"model": "smollm2-135m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}
        whole = client.post("/v1/chat/completions", json=body)
        assert whole.json()["usage"]["completion_tokens"] <= 4
        streamed = client.post("/v1/chat/completions", json=body | {"stream": True})
        assert streamed.headers["content-type"].startswith("text/event-stream")
        assert streamed.text.rstrip().endswith("data: [DONE]")
        assert (path.stat().st_mode & 0o777) == 0o600
        assert all(each.stat().st_mode & 0o077 == 0 for each in tmp_path.iterdir())

        vector = client.post("/v1/embeddings", json={"input": "hi"}).json()["data"][0]["embedding"]
        assert abs(sum(number * number for number in vector) - 1) < 1e-5
        assert client.get("/health").json()["loaded"] == ["smollm2-135m", "all-minilm-l6-v2"]

        for route, bad in (
            ("/v1/chat/completions", b"{"),
            ("/v1/chat/completions", b"[]"),
            ("/v1/embeddings", b'{"input": [1]}'),
            ("/v1/embeddings", b'{"input": []}'),
        ):
            assert client.post(route, content=bad).status_code == 400
        assert client.post("/v1/embeddings", json={"model": "other", "input": "a"}).status_code == 404
        assert client.post("/v1/chat/completions", json={"model": "other"}).status_code == 404
        assert client.post("/v1/chat/completions", json={"messages": "none"}).status_code in (400, 500)

        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=20)
        assert process.returncode == 0
        assert output == b"", "it is silent unless asked to speak"
        assert sorted(tmp_path.iterdir()) == [path], "llama.cpp's own socket is gone; the given one is its maker's"


async def test_it_serves_several_at_once(tmp_path: Path) -> None:
    path = tmp_path / "model.sock"
    body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 8}
    with _running(path):
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        async with httpx.AsyncClient(transport=transport, base_url="http://local", timeout=60) as client:
            answers = await asyncio.gather(
                *(client.post("/v1/chat/completions", json=body) for _ in range(4)),
                *(client.post("/v1/embeddings", json={"input": ["a", "b c"]}) for _ in range(2)),
            )
    assert [answer.status_code for answer in answers] == [200] * 6


def test_its_own_socket_is_taken_away_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "own.sock"
    with subprocess.Popen(
        [*COMMAND, "--socket", str(path)], stderr=subprocess.PIPE, env={**os.environ, "O_LOG_LEVEL": "debug"}
    ) as process:
        assert process.stderr is not None
        _wait_for(process.stderr, b"startup complete")
        with _client(path) as client:
            assert client.get("/health").status_code == 200
        assert (path.stat().st_mode & 0o777) == 0o600
        second = subprocess.run([*COMMAND, "--socket", str(path)], capture_output=True, timeout=30, check=False)
        assert second.returncode == 1
        assert b"already" in second.stderr
        process.send_signal(signal.SIGINT)
        drain = threading.Thread(target=process.stderr.read)
        drain.start()
        assert process.wait(20) == 0
        drain.join()
    assert not path.exists()


def _wait_for(stream: IO[bytes], words: bytes) -> None:
    for line in stream:
        if words in line.lower():
            return
    raise AssertionError("the process ended")


@pytest.mark.parametrize("content", [None, b"no model"])
def test_a_bad_file_ends_it_with_a_sentence(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "bad.gguf"
    if content is not None:
        path.write_bytes(content)
    with _running(tmp_path / "model.sock", "--gguf", str(path)) as process:
        output, _ = process.communicate(timeout=20)
        assert process.returncode == 1
        assert b"bad.gguf" in output
        assert b"Traceback" not in output


def test_a_file_llama_cannot_load_is_answered_with_503(tmp_path: Path) -> None:
    path = tmp_path / "hollow.gguf"
    path.write_bytes(b"GGUF" + (3).to_bytes(4, "little") + bytes(16))
    with _running(tmp_path / "model.sock", "--gguf", str(path)), _client(tmp_path / "model.sock") as client:
        answer = client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "hi"}]})
        assert answer.status_code == 503
        assert "hollow.gguf" in answer.json()["error"]["message"]
        assert client.post("/v1/embeddings", json={"input": "a"}).status_code == 200
