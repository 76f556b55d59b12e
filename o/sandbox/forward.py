"""Runs inside the sandbox: makes the egress proxy's unix socket look like an HTTP proxy on 127.0.0.1.

Only the standard library is imported here, and nothing of O: the file runs where nothing else of O may be seen. As a
program (`python forward.py SOCKET COMMAND…`, the token in its environment) it runs a command that finds the way out.
"""

import contextlib
import os
import selectors
import socket
import sys
import threading

_PIECE = 65_536
IN_ENVIRONMENT = "O_EGRESS_TOKEN"  # the variable; an argument could be read by the whole machine
_MOST_PAIRS = 64  # a bound on descriptors; the proxy has its own on connections


class _Pipe:
    """One direction of a connection: what was read and not yet written, at most one piece."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source, self.target = source, target
        self.waiting = b""
        self.ended = False  # nothing more will be read
        self.closed = False  # and the other side was told


class _Forwarder:
    """Moves bytes between connections to the port and the unix socket, in one thread: threads are few in here."""

    def __init__(self, listener: socket.socket, socket_path: str) -> None:
        self._listener, self._socket_path = listener, socket_path
        self._selector = selectors.DefaultSelector()
        # By socket: the pipe it is read into, and the one that is written to it.
        self._pipes: dict[socket.socket, tuple[_Pipe, _Pipe]] = {}
        self._selector.register(listener, selectors.EVENT_READ)

    def serve(self) -> None:
        while True:
            for key, events in self._selector.select():
                if key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._pipes:
                    self._move(key.fileobj, events)

    def _accept(self) -> None:
        try:
            near, _ = self._listener.accept()
        except OSError:
            return
        far = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if len(self._pipes) >= 2 * _MOST_PAIRS:
                raise ConnectionRefusedError
            far.connect(self._socket_path)
        except OSError:
            near.close()
            far.close()
            return
        out, back = _Pipe(near, far), _Pipe(far, near)
        for end, pair in ((near, (out, back)), (far, (back, out))):
            end.setblocking(False)
            self._pipes[end] = pair
            self._selector.register(end, selectors.EVENT_READ)

    def _move(self, end: socket.socket, events: int) -> None:
        reads, writes = self._pipes[end]
        try:
            if events & selectors.EVENT_READ and not reads.waiting and not reads.ended:
                reads.waiting = end.recv(_PIECE)
                reads.ended = not reads.waiting
                self._write(reads)
            if events & selectors.EVENT_WRITE:
                self._write(writes)
        except BlockingIOError:
            pass
        except OSError:
            self._drop(reads)
            return
        if reads.closed and writes.closed:
            self._drop(reads)
            return
        self._watch(reads.source)
        self._watch(reads.target)

    def _write(self, pipe: _Pipe) -> None:
        with contextlib.suppress(BlockingIOError):
            while pipe.waiting:
                pipe.waiting = pipe.waiting[pipe.target.send(pipe.waiting) :]
        if pipe.ended and not pipe.waiting and not pipe.closed:
            pipe.closed = True
            pipe.target.shutdown(socket.SHUT_WR)

    def _watch(self, end: socket.socket) -> None:
        """Wait only for what can be used, or `select` would return at once, for ever."""
        reads, writes = self._pipes[end]
        events = 0
        if not reads.ended and not reads.waiting:
            events |= selectors.EVENT_READ
        if writes.waiting:
            events |= selectors.EVENT_WRITE
        known = self._selector.get_map().get(end)
        if known is not None and events:
            self._selector.modify(end, events)
        elif known is not None:
            self._selector.unregister(end)
        elif events:
            self._selector.register(end, events)

    def _drop(self, pipe: _Pipe) -> None:
        for end in (pipe.source, pipe.target):
            with contextlib.suppress(KeyError):
                self._selector.unregister(end)
            del self._pipes[end]
            end.close()


def start_forwarder(socket_path: str) -> int:
    """Listen on 127.0.0.1, in a thread of its own that ends with the process; returns the port.

    Raises:
        OSError: there is no loopback interface to listen on.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(_MOST_PAIRS)
    listener.setblocking(False)
    port: int = listener.getsockname()[1]
    threading.Thread(target=_Forwarder(listener, socket_path).serve, name="egress", daemon=True).start()
    return port


def proxy_variables(port: int, token: str) -> dict[str, str]:
    """The variables by which programs find the proxy."""
    url = f"http://o:{token}@127.0.0.1:{port}"
    variables = {name: url for upper in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY") for name in (upper, upper.lower())}
    return {**variables, "NO_PROXY": "", "no_proxy": "", "NODE_USE_ENV_PROXY": "1"}


def main() -> int:
    """Run a command with the way out open; returns its status."""
    socket_path, *command = sys.argv[1:]
    environment = dict(os.environ)
    environment.update(proxy_variables(start_forwarder(socket_path), environment.pop(IN_ENVIRONMENT)))
    try:
        child = os.posix_spawnp(command[0], command, environment)
    except OSError as error:
        sys.stderr.write(f"{command[0]} cannot be started: {error.strerror}\n")
        return 127
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
