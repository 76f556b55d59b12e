"""The deadline ends a call with all it started, whatever it does to stay."""

import asyncio

from o.sandbox.base import CodeResult
from tests.support.attacks import ENVIRONMENT, LIMITS, PYTHON, Arena

_LIMITS = LIMITS.model_copy(update={"wall": 1.0})
_DAEMON = """
import os, time
def daemon(then):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            then()
            os._exit(0)
        os._exit(0)
    os.wait()
"""

STAY = {
    "a loop": "def attack():\n    while True: pass",
    "sleep": "import time\ndef attack(): time.sleep(3600)",
    "a loop in C": "def attack(): sum(iter(int, 1))",
    "SIGTERM ignored": "import signal, time\ndef attack():\n    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    time.sleep(60)",
    "all signals ignored and blocked": """
import signal, time
def attack():
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        try: signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError): pass
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while True: time.sleep(60)
""",
    "exceptions swallowed": """
import time
def attack():
    while True:
        try:
            while True: time.sleep(1)
        except BaseException: pass
""",
    "stopped": "import os, signal\ndef attack(): os.kill(os.getpid(), signal.SIGSTOP)",
    "a stopped family": "import os, signal, time\ndef attack():\n    for _ in range(5):\n        if os.fork() == 0: os.kill(os.getpid(), signal.SIGSTOP)\n    time.sleep(60)",
    "vfork": "import subprocess\ndef attack(): subprocess.run(['sleep', '3600'])",
    "daemon": _DAEMON + "def attack():\n    daemon(lambda: time.sleep(3600))\n    time.sleep(3600)",
    "a chain of sessions": _DAEMON
    + "def link():\n    while True:\n        time.sleep(0.01)\n        if os.fork(): os._exit(0)\n        os.setsid()\ndef attack():\n    daemon(link)\n    time.sleep(60)",
    "another name": "import os\ndef attack():\n    os.execv('/bin/sh', ['o.sandbox.executor', '-c', 'trap \"\" TERM; while :; do sleep 60; done'])",
    "a signal for its parent's death": "import os, time\ndef attack():\n    LIBC.prctl(1, 0, 0, 0, 0)\n    LIBC.prctl(36, 1, 0, 0, 0)\n    time.sleep(60)",
    "timers": "import signal, time\ndef attack():\n    signal.signal(signal.SIGALRM, lambda *a: None)\n    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)\n    while True: time.sleep(1)",
}


async def test_what_stays_is_ended_at_the_deadline(arena: Arena) -> None:
    names = list(STAY)
    limits = arena.limits(wall=1.0)
    for some in (names[:7], names[7:]):
        results = await asyncio.gather(*(arena.run(STAY[name], limits=limits) for name in some))
        for name, result in zip(some, results, strict=True):
            assert result.outcome == "timeout", (name, result)
            assert result.seconds < 5, (name, result)
        await arena.unharmed(*results)


LEAVE = {
    "a daemon": _DAEMON + "def attack():\n    daemon(lambda: time.sleep(3600))\n    return 1",
    "a daemon that holds stdout": _DAEMON
    + "def attack():\n    daemon(lambda: os.system('sleep 3600'))\n    print('left')\n    return 1",
    "a grandchild that writes": _DAEMON
    + "def flood():\n    while True: os.write(1, b'x' * 4096)\ndef attack():\n    daemon(flood)\n    return 1",
    "a thread": "import threading, time\ndef attack():\n    threading.Thread(target=time.sleep, args=(3600,)).start()\n    return 1",
    "a child at exit": "import atexit, os, time\ndef attack():\n    atexit.register(lambda: time.sleep(3600))\n    return 1",
    "a program": "import subprocess\ndef attack():\n    subprocess.Popen(['sleep', '3600'], start_new_session=True)\n    return 1",
}


async def test_what_is_left_behind_ends_with_the_call(arena: Arena) -> None:
    results = await asyncio.gather(*(arena.run(source, limits=arena.limits()) for source in LEAVE.values()))
    for name, result in zip(LEAVE, results, strict=True):
        assert (result.outcome, result.value) == ("returned", 1), (name, result)
        assert result.seconds < 10, (name, result)
    await arena.unharmed(*results)


async def test_a_cancelled_call_ends_whole(arena: Arena) -> None:
    calls = [
        asyncio.create_task(arena.run(STAY[name], limits=arena.limits()))
        for name in ("daemon", "a chain of sessions", "stopped")
    ]
    for _ in range(400):
        if len(arena.processes()) > arena.resting + 4:
            break
        await asyncio.sleep(0.01)
    for call in calls:
        call.cancel()
    ended = await asyncio.gather(*calls, return_exceptions=True)
    assert not [each for each in ended if isinstance(each, CodeResult)]
    await arena.unharmed()


async def test_a_program_ends_with_its_connection_or_its_limits(arena: Arena) -> None:
    code = _DAEMON + "daemon(lambda: time.sleep(3600))\nprint('ready', flush=True)\n"
    ends = {
        "waits": "time.sleep(3600)",
        "floods": "while True: os.write(1, b'x' * 65536)",
        "ignores": "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(3600)",
        "forks": "while True:\n    try: os.fork()\n    except OSError: pass",
        "takes": "held = []\nwhile True: held.append(bytearray(1 << 20))",
    }
    for end in ends.values():
        program = await arena.sandbox.start(
            (PYTHON, "-I", "-S", "-c", code + end), ENVIRONMENT, egress=None, limits=_LIMITS
        )
        assert (await program.read()).startswith(b"ready")
        await program.close()
    await arena.unharmed()
