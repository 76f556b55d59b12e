"""Secrets that a tool was given and says aloud: none gets into its return, however it is ended."""

import asyncio
from datetime import UTC, datetime

from activities.custom_tools import CustomTools, Owner
from o import ids
from o.domain.tool_limits import ToolLimits
from o.domain.tool_run import ToolRunRequest
from tests.support.attacks import LIMITS, Arena

# How secrets are taken out does not depend on the layers.
TRIED_WITH = ("all layers, root", "no namespaces, ordinary user")

SECRET = "tok-9f8e7d6c5b4a39281706f5e4d3c2b1a0"

LOUD = {
    "value": "return os.environ['API_KEY']",
    "nested": "return {'a': [os.environ['API_KEY'], {os.environ['API_KEY']: 1}]}",
    "part": "return 'Bearer ' + os.environ['API_KEY'] + '!'",
    "stdout": "print(os.environ)\n    return 1",
    "stderr": "print('x', os.environ['API_KEY'], file=sys.stderr)\n    return 1",
    "error": "raise ValueError('cannot use ' + os.environ['API_KEY'])",
    "an exception's name": "raise type(os.environ['API_KEY'], (Exception,), {})('x')",
    "exit": "sys.exit(os.environ['API_KEY'])",
    "timeout": "print(os.environ['API_KEY'], flush=True)\n    while True: pass",
    "crash": "print(os.environ['API_KEY'], flush=True)\n    os.kill(os.getpid(), 9)",
    "flood": "print((os.environ['API_KEY'] + '\\n') * 5000)\n    return 1",
    "between two writes": "k = os.environ['API_KEY']\n    os.write(1, k[:9].encode()); os.write(1, k[9:].encode())\n    return 1",
    "with control characters": "print('\\x1b[1m'.join(os.environ['API_KEY']))\n    return 1",
}


async def test_a_secret_said_aloud_is_not_kept(arena: Arena) -> None:
    tools = CustomTools(
        arena.sandbox, None, LIMITS, api_url="http://127.0.0.1:9", key_secret=None, now=lambda: datetime.now(UTC)
    )
    owner = Owner(ids.DEFAULT_ORG, secrets={"API_KEY": SECRET})

    async def said(way: str) -> str:
        asked = ToolRunRequest(
            source=f"import os, sys\ndef attack():\n    {LOUD[way]}\n",
            function="attack",
            environment={"PLAIN": "x"},
            limits=ToolLimits(timeout=1.0),
        )
        return repr(await tools.run(asked, owner, "call-1"))

    spoken = await asyncio.gather(*map(said, LOUD))
    assert [way for way, text in zip(LOUD, spoken, strict=True) if SECRET in text] == []
    await arena.unharmed()
