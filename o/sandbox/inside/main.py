"""First program of every sandboxed process: confines itself, then runs one call or becomes another program."""

import gc
import importlib
import os
import sys
from typing import Any

from o.sandbox.inside import call, frames, libc, reaper, seccomp
from o.sandbox.inside.confine import Limits, Setup, confine, lower


def main(root: str, control: int, result: int) -> None:
    """Read the setup from `control`, confine, say so on `result`, serve one call. Does not return.

    Args:
        root: the folder that `o` is imported from; the call's code is not.
    """
    document = frames.read(control)
    if document is None:
        os._exit(0)
    setup = _setup(document)
    _close_others(control, result)
    if setup.reaper:
        reaper.fork()
    try:
        done = confine(setup)
    except OSError as error:
        frames.write(result, {"refused": str(error)})
        os._exit(1)
    frames.write(result, {"ready": done})
    if setup.command is not None:
        _become(setup, setup.command, (control, result))
    _serve(setup, root, control, result)


def _serve(setup: Setup, root: str, control: int, result: int) -> None:
    libc.few_arenas()
    gc.freeze()
    gc.enable()
    wanted = frames.read(control)
    os.close(control)
    if wanted is None:  # never needed
        os._exit(0)
    os.environ.clear()
    os.environ.update(wanted["environment"])
    sys.path[:0] = wanted["libraries"]
    sys.path += wanted["site"]
    sys.argv = ["tool"]
    lower(Limits(**wanted["limits"]))
    if setup.egress is not None:
        os.environ.update(_proxy(setup.egress, wanted["token"]))
    sys.path.remove(root)
    write, leave = frames.write, os._exit
    for name in [name for name in sys.modules if name == "o" or name.startswith("o.")]:
        del sys.modules[name]
    document = call.run(wanted["call"])
    call.flush()
    write(result, document)
    leave(0)


def _proxy(socket: str, token: str) -> dict[str, str]:
    # Loaded for the few calls that have a way out.
    forward = importlib.import_module("o.sandbox.forward")
    return dict(forward.proxy_variables(forward.start_forwarder(socket), token))


def _become(setup: Setup, command: tuple[str, ...], descriptors: tuple[int, int]) -> None:
    environment = dict(setup.environment)
    if setup.keep:
        for name, descriptor in zip(("O_CALL_FD", "O_RESULT_FD"), descriptors, strict=True):
            os.set_inheritable(descriptor, True)
            environment[name] = str(descriptor)
    try:
        os.execvpe(command[0], command, environment)  # noqa: S606 - there is no shell to want
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
        os._exit(127)


def _close_others(*kept: int) -> None:
    low = 3
    for descriptor in sorted(kept):
        os.closerange(low, descriptor)
        os.set_inheritable(descriptor, False)
        low = descriptor + 1
    os.closerange(low, 1 << 16)


def _setup(document: dict[str, Any]) -> Setup:
    policy = document.pop("policy")
    limits = Limits(**document.pop("limits"))
    lists = {name: tuple(document.pop(name)) for name in ("readable", "writable", "command") if document.get(name)}
    return Setup(limits=limits, policy=policy and seccomp.Policy(**policy), **{**document, **lists})
