"""Layers that are not enough: nothing is run, unless the operator says so aloud, and then it is said aloud."""

import os

import pytest

from o.errors import InvalidArgument
from o.sandbox.base import CodeCall, SandboxUnavailable
from tests.support.attacks import LIMITS, ORDINARY
from tests.support.sandbox import started

CALL = CodeCall(source="def f(): return 1", function="f", limits=LIMITS)

WANTING = {
    "no namespaces, no Landlock": (("bubblewrap", "landlock"), ORDINARY),
    "no namespaces, no seccomp": (("bubblewrap", "seccomp"), ORDINARY),
    "nothing": (("bubblewrap", "landlock", "seccomp", "own-user"), ORDINARY),
    "root, no namespaces, no Landlock": (("bubblewrap", "landlock"), 0),
    "root, no namespaces, no seccomp": (("bubblewrap", "seccomp"), 0),
    "root, nothing": (("bubblewrap", "landlock", "seccomp", "own-user"), 0),
}


@pytest.mark.parametrize(("without", "user"), WANTING.values(), ids=WANTING.keys())
async def test_nothing_is_run(without: tuple[str, ...], user: int) -> None:
    if user == 0 and os.geteuid() != 0:
        pytest.skip("needs root")
    with started(without, limits=LIMITS, user=user) as running:
        sandbox = running.sandbox
        report = await sandbox.report()
        assert not report.sufficient
        assert report.failed
        assert report.languages == ()
        assert "custom tools are off" in report.message
        assert {layer.name for layer in report.layers if not layer.active} >= {"namespaces"}
        with pytest.raises(SandboxUnavailable, match=r"custom tools are off.*O_ALLOW_UNSANDBOXED_TOOLS"):
            await sandbox.run(CALL)
        with pytest.raises(SandboxUnavailable, match="custom tools are off"):
            await sandbox.start(("/bin/true",), {}, egress=None, limits=LIMITS)
        with pytest.raises((SandboxUnavailable, InvalidArgument), match="custom tools are off"):
            await sandbox.prepare(("alpha==1.0",))


async def test_the_operators_word_runs_it_and_is_repeated() -> None:
    without, user = WANTING["nothing"]
    with started(without, limits=LIMITS, user=user, allow_unsandboxed=True) as running:
        report = await running.sandbox.report()
        assert (await running.sandbox.run(CALL)).value == 1
    assert not report.sufficient
    assert report.message.startswith("WARNING: tools run WITHOUT sufficient isolation")
    assert report.failed
