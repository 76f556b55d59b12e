"""Floods of output and monsters of results: cut, while this event loop and other calls go on."""

import asyncio
import json

import pytest

from tests.support.attack_targets import Watch
from tests.support.attacks import LIMITS, Arena

# How its output is taken in does not depend on the layers.
TRIED_WITH = ("all layers, root", "no namespaces, ordinary user")

_LIMITS = LIMITS.model_copy(update={"wall": 1.5})

FLOODS = {
    "stdout": "import os\ndef attack():\n    while True: os.write(1, b'x' * (1 << 20))",
    "stderr": "import os\ndef attack():\n    while True: os.write(2, bytes(1 << 20))",
    "both, line by line": "import sys\ndef attack():\n    while True:\n        print('out')\n        print('err', file=sys.stderr)",
    "result": "import os\ndef attack():\n    for fd in range(3, 1024):\n        try:\n            while True: os.write(fd, b'[' * (1 << 20))\n        except OSError: pass\n    while True: pass",
    "children": "import os\ndef attack():\n    os.fork(); os.fork()\n    while True: os.write(1, b'y' * 65536)",
    "a gigabyte of result": "def attack(): return 'x' * (1 << 30)",
    "many megabytes of result": "def attack(): return ['y' * 1000] * 4000",
}


async def test_floods_are_cut_and_hold_up_nobody(arena: Arena) -> None:
    async with Watch() as watch:
        flooding = asyncio.gather(*(arena.run(source, limits=_LIMITS) for source in FLOODS.values()))
        beside = await arena.run("def attack(): return 1")
        results = await flooding
    assert beside.value == 1
    ends = {name: result.outcome for name, result in zip(FLOODS, results, strict=True)}
    for name, result in zip(FLOODS, results, strict=True):
        assert result.outcome in ("timeout", "bad_result", "raised", "memory"), (name, result.outcome)
        assert len(result.stdout) < LIMITS.output + 100, name
        assert len(result.stderr) < LIMITS.output + 100, name
        assert len(result.model_dump_json()) < 200_000, name
        assert result.seconds < 5, (name, result.seconds)
    assert ends["result"] == "bad_result", ends
    assert ends["a gigabyte of result"] == "raised", ends
    assert ends["many megabytes of result"] == "bad_result", ends
    assert watch.gap < 0.5
    await arena.unharmed(*results)


async def test_what_is_printed_is_harmless_text(arena: Arena) -> None:
    source = r"""
def attack():
    os.write(1, b"\xff\xfe\xc3\x28 a\0b \x1b[2J\x1b]0;title\x07\x9b31m \x08\x7f\r\n" + "\u202e\ud83d".encode(errors="surrogatepass"))
    os.write(2, b"\x1b[31mred\x1b[0m\0")
"""
    result = await arena.run(source)
    assert result.outcome == "returned", result.error
    for text in (result.stdout, result.stderr):
        text.encode()
        assert not [sign for sign in text if ord(sign) < 32 and sign not in "\n\t"]
        assert not {"\x7f", "\x9b"} & set(text)
    assert "red" in result.stderr
    await arena.unharmed(result)


VALUES = {
    "NaN": ("float('nan')", "bad_result"),
    "infinity within": ("{'a': [float('-inf')]}", "bad_result"),
    "too deep": ("deep(100)", "bad_result"),
    "much too deep": ("deep(100000)", "bad_result"),
    "itself": ("circle()", "bad_result"),
    "a lone surrogate": ("'\\ud800'", "returned"),
    "NUL": ("{'a\\0b': 'c\\0d'}", "returned"),
    "escapes": ("'\\x1b[2J'", "returned"),
    "bytes": ("b'\\xff\\x00'", "returned"),
    "a large number": ("10 ** 400", "returned"),
    "an enormous number": ("10 ** 10000", None),
    "a set": ("{1, 2}", "returned"),
    "a generator": ("(x for x in 'ab')", "returned"),
    "a class": ("object", "returned"),
    "keys of many kinds": ("{None: 1, 2: 3, (4, 5): 6}", "returned"),
    "a dict that lies": ("Liar({'a': 1})", None),
    "a text that lies": ("Text('x')", None),
}

VALUE = """
class Liar(dict):
    def items(self):
        while True:
            yield "a", self
class Text(str):
    def __str__(self): raise SystemExit(0)
    def __len__(self): return -1
def deep(levels):
    value = 1
    for _ in range(levels): value = [value]
    return value
def circle():
    value = []
    value.append(value)
    return value
def attack(): return VALUE
"""


async def test_any_value_is_plain_json_or_said_to_be_none(arena: Arena) -> None:
    async with Watch() as watch:
        results = await asyncio.gather(
            *(arena.run(VALUE.replace("VALUE", value), limits=_LIMITS) for value, _ in VALUES.values())
        )
    for (name, (_, outcome)), result in zip(VALUES.items(), results, strict=True):
        assert result.outcome == outcome or (outcome is None and result.outcome != "crashed"), (name, result)
        text = json.dumps(result.value, allow_nan=False)
        assert "\\u0000" not in text, name
        assert len(text) < LIMITS.result
    assert watch.gap < 0.5
    await arena.unharmed(*results)


@pytest.mark.parametrize("where", ["key", "error"])
async def test_monsters_hide_nowhere_else(arena: Arena, where: str) -> None:
    source = (
        "def attack(): return {'k' * 2000000: 1}"
        if where == "key"
        else "def attack(): raise ValueError('\\ud800\\0' + 'x' * 10000000)"
    )
    result = await arena.run(source)
    assert result.outcome == {"key": "bad_result", "error": "raised"}[where], result.outcome
    assert len(result.error or "") < 2000
    (result.error or "").encode()
    await arena.unharmed(result)
