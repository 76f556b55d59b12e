"""Ports: taken before anything starts, so that a clash is one clear line and not a child that dies."""

import errno
import socket
from contextlib import closing

from o.errors import Conflict


class PortTaken(Conflict):
    """An address O should listen on is not to be had."""

    code = "port_taken"


def listen(host: str, port: int, option: str, variable: str) -> socket.socket:
    """Listen on host and port; connections wait in the socket until somebody accepts them.

    Args:
        option: the command-line option that names another port, for the message.
        variable: the same as an environment variable.

    Raises:
        PortTaken: somebody else listens there, or the address is none of this machine.
    """
    bare = host.strip("[]")
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            bare, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise PortTaken(f"{bare} is no address: name another with --host or O_HOST") from error
    listener = socket.socket(family, kind, proto)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise PortTaken(f"{bare} is no address of this machine: name another with --host or O_HOST") from error
        why = "taken by another process" if error.errno == errno.EADDRINUSE else (error.strerror or "not to be had")
        raise PortTaken(f"port {port} on {bare} is {why}: choose another with {option} or {variable}") from error
    return listener


def check(host: str, port: int, option: str, variable: str) -> None:
    """Raise `PortTaken` unless host and port are free now."""
    listen(host, port, option, variable).close()


def free() -> int:
    """A loopback port that nobody uses now."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port: int = listener.getsockname()[1]
        return port
