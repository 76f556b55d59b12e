"""What a tool call costs in the sandbox: `python -m benchmarks.sandbox [--json]`."""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.figures import Report
from o.sandbox.base import CodeCall, Limits
from o.sandbox.client import SocketSandbox

_CALL = CodeCall(source="def add(a, b):\n    return a + b\n", function="add", arguments={"a": 1, "b": 2})
# Not the pool's shape, so that nothing waiting fits.
_COLD = _CALL.model_copy(update={"limits": Limits(disk=Limits().disk // 2)})
_SAMPLES = 100
_PAUSE = 0.15  # seconds; the pool is full again after it
_RATE_SECONDS = 5.0
_POOL = 2


async def _times(sandbox: SocketSandbox, call: CodeCall) -> list[float]:
    samples = []
    for _ in range(_SAMPLES):
        await asyncio.sleep(_PAUSE)
        started = time.perf_counter()
        result = await sandbox.run(call)
        samples.append(time.perf_counter() - started)
        if result.value != 3:
            raise SystemExit(f"a call failed: {result.error}")
    return samples


async def _rate(sandbox: SocketSandbox, at_once: int) -> float:
    """Calls per second."""
    ends = time.perf_counter() + _RATE_SECONDS

    async def caller() -> int:
        count = 0
        while time.perf_counter() < ends:
            await sandbox.run(_CALL)
            count += 1
        return count

    return sum(await asyncio.gather(*(caller() for _ in range(at_once)))) / _RATE_SECONDS


def _idle_memory(executor: int) -> dict[str, float]:
    """Megabytes of one idle pool process with what keeps it apart, and of the executor itself."""
    children = psutil.Process(executor).children(recursive=True)
    figures = [process.memory_full_info() for process in children]
    own = psutil.Process(executor).memory_full_info()
    return {
        "pss_mb": sum(each.pss for each in figures) / _POOL / 1e6,
        "uss_mb": sum(each.uss for each in figures) / _POOL / 1e6,
        "executor_pss_mb": own.pss / 1e6,
    }


async def _measure(path: Path, executor: int, report: Report) -> None:
    sandbox = SocketSandbox(path)
    started = time.perf_counter()
    if not (found := await sandbox.report()).sufficient:
        raise SystemExit(found.message)
    report.add("self-test", seconds=time.perf_counter() - started)
    await asyncio.sleep(1.0)
    report.add("idle pool process", **_idle_memory(executor))
    report.times("call, warm", await _times(sandbox, _CALL))
    report.times("call, cold", await _times(sandbox, _COLD))
    for at_once in (1, 4, 16):
        report.add(f"calls, {at_once} at once", per_second=await _rate(sandbox, at_once))


def main() -> None:
    """Start an executor, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="also print one JSON object, as the last line")
    as_json = parser.parse_args().json
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sandbox.sock"
        command = [sys.executable, "-m", "o.sandbox.executor", "--socket", str(path), "--pool", str(_POOL)]
        executor = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            while not path.exists():
                if executor.poll() is not None:
                    raise SystemExit("the executor did not start")
                time.sleep(0.01)
            asyncio.run(_measure(path, executor.pid, report))
        finally:
            executor.terminate()
            executor.wait()
    report.print(as_json=as_json)


if __name__ == "__main__":
    main()
