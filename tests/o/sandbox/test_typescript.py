"""TypeScript tools by a real Node in a real sandbox; most need one that is new enough, which not every machine has."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from o.guard.policy import Guard, parse_allowed
from o.sandbox.base import MIB, CodeCall, CodeResult, Limits, SandboxUnavailable
from o.sandbox.calls import Calls
from o.sandbox.egress import EgressProxy
from o.sandbox.launch import Launcher
from o.sandbox.machine import Machine
from o.sandbox.pool import Pool
from o.sandbox.typescript import TypeScript, find_node
from tests.support.egress import serving

# A Node for these tests alone; else the one that an executor here would find.
OWN = os.environ.get("O_TEST_NODE")
FOUND = find_node(Path(OWN) if OWN else None)
needs_node = pytest.mark.skipif(FOUND[0] is None, reason=FOUND[1])


@pytest.fixture
async def calls(tmp_path: Path) -> AsyncIterator[Calls]:
    launcher = Launcher(Machine.found(), tmp_path)
    pool = Pool(launcher, Limits(), 0)
    yield Calls(launcher, pool, tmp_path, TypeScript(FOUND))
    await pool.close()


async def run(calls: Calls, source: str, function: str | None = "tool", **more: object) -> CodeResult:
    call = {"source": source, "function": function, "language": "typescript", **more}
    return await calls.run(CodeCall.model_validate(call))


SOURCES = {
    "exported": "export function tool(a: number, b: number = 2): number { return a * b }",
    "not exported": "function tool(a: number, b = 2): number { return a * b }",
    "an arrow": "export const tool = (a: number, b = 2): number => a * b",
    "awaited": "export async function tool(a: number, b = 2): Promise<number> { return a * b }",
    "by default": "export default function tool(a: number, b = 2) { return a * b }",
    "under another name": "function inner(a: number, b = 2) { return a * b }\nexport { inner as tool }",
    "an enum": "enum Two { Two = 2 }\nexport function tool(a: number, b: Two = Two.Two): number { return a * b }",
    "required": "const { EOL } = require('os')\nexport function tool(a: number, b = 2) { return a * b * EOL.length }",
}


@needs_node
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
async def test_a_function_is_found_and_called(calls: Calls, source: str) -> None:
    result = await run(calls, source, arguments={"a": 21})
    assert (result.outcome, result.value) == ("returned", 42), result


@needs_node
async def test_arguments_are_passed_in_the_order_of_the_schema(calls: Calls) -> None:
    source = "export function tool(a: string, b = 'B', c = 'C'): string { return a + b + c }"
    result = await run(calls, source, arguments={"c": "z", "a": "x"}, order=("a", "b", "c"))
    assert result.value == "xBz"
    assert (await run(calls, source, arguments={"a": "x", "b": "y"})).value == "xyC"


@needs_node
@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("undefined", None),
        ("null", None),
        ("{ a: [1, 'ü', true, null], b: undefined }", {"a": [1, "ü", True, None]}),
        ("12345678901234567890n", "12345678901234567890"),
        ("new Map([['a', new Set([1])]])", {"a": [1]}),
        ("new Date(0)", "1970-01-01T00:00:00.000Z"),
        ("NaN", None),
        ("() => 1", None),
    ],
)
async def test_values_become_plain_json(calls: Calls, expression: str, value: object) -> None:
    result = await run(calls, f"export function tool() {{ return {expression} }}")
    assert (result.outcome, result.value) == ("returned", value), result


@needs_node
@pytest.mark.parametrize(
    ("source", "outcome", "error"),
    [
        ("export function tool() { throw new TypeError('no') }", "raised", "TypeError: no"),
        ("export function tool() { throw 'no' }", "raised", "Error: no"),
        ("export function tool() { setTimeout(() => { throw new Error('late') }); return new Promise(() => {}) }",
         "raised", "Error: late"),
        ("export function tool() { return new Promise(() => {}) }", "raised", "Error: the promise it returned"),
        ("export function other() {}", "raised", "ReferenceError: the source has no function 'tool'"),
        ("export const tool = 3", "raised", "ReferenceError: the source has no function 'tool'"),
        ("export function tool( {", "raised", "SyntaxError: "),
        ("import x from 'left-pad'; export function tool() {}", "raised", "Error: Cannot find package 'left-pad'"),
        ("export function tool() { const a: any = {}; a.a = a; return a }", "bad_result", "the value is no JSON"),
        ("export function tool() { process.exit(0) }", "crashed", "the code left its process before it returned"),
        ("export function tool() { process.exit(3) }", "crashed", "the code's process ended with code 3"),
        ("export function tool() { process.abort() }", "crashed", "the code's process was ended by SIGABRT"),
        ("export function tool() { while (true) {} }", "timeout", "the call took longer than 2 s"),
    ],
)  # fmt: skip
async def test_what_goes_wrong_is_said(calls: Calls, source: str, outcome: str, error: str) -> None:
    result = await run(calls, source, limits=Limits(wall=2.0))
    assert result.outcome == outcome, result
    assert (result.error or "").startswith(error), result


@needs_node
async def test_a_script_runs_as_a_whole_and_prints(calls: Calls) -> None:
    result = await run(calls, "const n: number = 1\nconsole.log('out', n)\nconsole.error('err')", None)
    assert (result.outcome, result.value, result.stdout, result.stderr) == ("returned", None, "out 1\n", "err\n")


@needs_node
async def test_it_sees_its_own_environment_and_none_of_ours(calls: Calls) -> None:
    source = "export function tool() { return process.env }"
    value = (await run(calls, source, environment={"TOKEN": "t"})).value
    assert value["TOKEN"] == "t"
    assert set(value) <= {"TOKEN", "PATH", "HOME", "TMPDIR", "LANG", "USER", "LOGNAME", "PYTHONDONTWRITEBYTECODE"}


@needs_node
@pytest.mark.parametrize(
    "body",
    [
        "return require('fs').readFileSync('/etc/shadow', 'utf8')",
        "return require('fs').readdirSync('/root')",
        "return new Promise((ok, no) => require('net').connect(5432, '127.0.0.1').on('connect', ok).on('error', no))",
        "return new Promise((ok, no) => require('dgram').createSocket('udp4').on('error', no).send('x', 53, '1.1.1.1', "
        "(error) => error ? no(error) : ok(1)))",
        "process.kill(process.ppid, 9); return 1",
    ],
)
async def test_it_reaches_nothing(calls: Calls, body: str) -> None:
    result = await run(calls, f"export function tool(): any {{ {body} }}", limits=Limits(wall=10.0))
    assert result.outcome in ("raised", "crashed"), result


@needs_node
async def test_a_forged_document_or_two_of_them_are_refused(calls: Calls) -> None:
    forged = """
    import fs from "node:fs"
    export function tool() {
      for (let fd = 3; fd < 40; fd++) { try { fs.writeSync(fd, Buffer.from("\\0\\0\\0\\x02{}")) } catch {} }
      return "fine"
    }"""
    assert (await run(calls, forged)).outcome == "bad_result"
    lying = (
        'export function tool() { JSON.stringify = () => \'{"outcome":"returned","value":1}\'; throw new Error(\'x\') }'
    )
    assert (await run(calls, lying)).outcome == "raised"


@needs_node
async def test_a_memory_bomb_ends_in_the_child(calls: Calls) -> None:
    source = "export function tool() { const all: any[] = []; while (true) all.push(new Array(1e6).fill(all.length)) }"
    result = await run(calls, source, limits=Limits(memory=256 * MIB, wall=30.0))
    assert result.outcome in ("memory", "crashed"), result


@needs_node
async def test_with_a_way_out_fetch_goes_through_the_proxy(calls: Calls, tmp_path: Path) -> None:
    source = """
    export async function tool(open: string, closed: string): Promise<any> {
      const answer = await fetch(open)
      let refused = "no"
      try { await fetch(closed) } catch (error) { refused = "yes" }
      return [await answer.text(), refused, Object.keys(process.env).includes("O_EGRESS_TOKEN")]
    }"""
    async with (
        serving() as server,
        EgressProxy(Guard(parse_allowed("127.0.0.0/8")), tmp_path / "egress" / "s") as proxy,
        proxy.grant([f"127.0.0.1:{server.port}"]) as egress,
    ):
        arguments = {"open": f"http://127.0.0.1:{server.port}/", "closed": "http://169.254.169.254/"}
        if FOUND[0] is not None and not FOUND[0].proxies:
            with pytest.raises(SandboxUnavailable, match="a Node that knows proxies"):
                await run(calls, source, arguments=arguments, egress=egress)
            return
        result = await run(calls, source, arguments=arguments, egress=egress)
    assert result.value[0] == "hello", result
    assert result.value[2] is False


@needs_node
async def test_cancelling_kills_it(calls: Calls) -> None:
    source = "console.log('on'); export function tool() { return new Promise(() => setInterval(() => {}, 1000)) }"
    running = asyncio.create_task(run(calls, source))
    done, _ = await asyncio.wait({running}, timeout=1.0)
    assert not done
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@needs_node
async def test_the_language_is_offered_where_it_works(calls: Calls) -> None:
    assert await calls.languages() == ("python", "typescript")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo v20.20.2", r"the Node here is v20.20.2, and it takes 22.6 or newer: install Node 22.6"),
        ("exit 1", "the Node here does not start"),
        ('[ "$1" = --version ] && echo v22.9.0', "the Node here, v22.9.0, strips no types"),
    ],
)
async def test_a_node_that_cannot_is_refused_by_name(tmp_path: Path, script: str, reason: str) -> None:
    program = tmp_path / "node"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(stat.S_IRWXU)
    launcher = Launcher(Machine.found(), tmp_path)
    calls = Calls(launcher, Pool(launcher, Limits(), 0), tmp_path, TypeScript(find_node(program)))
    with pytest.raises(SandboxUnavailable, match=f"TypeScript tools cannot run: {reason}"):
        await run(calls, "export function tool() {}")
    assert await calls.languages() == ("python",)
