"""The network as seen from a call without a way out: nothing that listens on this machine, or beyond it, is reached."""

from typing import Any

import pytest

from o.sandbox.base import Egress, Limits, SandboxUnavailable
from tests.support.attacks import COMBINATIONS, LIMITS, Arena
from tests.support.sandbox import started

REACH = """
import array, socket

def attack(ports, udp, six, path, path_datagrams, abstract, abstract_datagrams):
    def connected(family, kind, address, protocol=0):
        with socket.socket(family, kind, protocol) as made:
            made.settimeout(0.5)
            made.connect(address)
            made.send(b"o")
            return True

    def sent(family, address):
        with socket.socket(family, socket.SOCK_DGRAM) as made:
            return made.sendto(b"o", address)

    def by_pair(address):
        left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        return left.sendto(b"o", address)

    def reconnected(kind, address):
        left, right = socket.socketpair(socket.AF_UNIX, kind)
        left.connect(address)
        return left.send(b"o")

    def by_child(address):
        if (child := os.fork()) == 0:
            try:
                connected(socket.AF_INET, socket.SOCK_STREAM, address)
            except OSError:
                os._exit(1)
            os._exit(0)
        return os.waitpid(child, 0)[1] == 0

    stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
    for port in (*ports, 5432, 7233, 8283, 22, 80):
        attempt("127.0.0.1:%d" % port, lambda: connected(socket.AF_INET, stream, ("127.0.0.1", port)))
    for host in ("169.254.169.254", "10.0.0.1", "172.17.0.1", "192.168.0.1", "1.1.1.1", "0.0.0.0", "127.1", "2130706433"):
        attempt(host, lambda: connected(socket.AF_INET, stream, (host, ports[0])))
        attempt(host + ":80", lambda: connected(socket.AF_INET, stream, (host, 80)))
    for host in ("::1", "::ffff:127.0.0.1", "fd00:ec2::254", "fe80::1"):
        attempt(host, lambda: connected(socket.AF_INET6, stream, (host, six)))
    attempt("multipath", lambda: connected(socket.AF_INET, stream, ("127.0.0.1", ports[0]), 262))
    attempt("from a child", lambda: by_child(("127.0.0.1", ports[0])))
    attempt("listening", lambda: socket.create_server(("127.0.0.1", 0)))
    attempt("UDP", lambda: sent(socket.AF_INET, ("127.0.0.1", udp)))
    attempt("UDP, DNS", lambda: sent(socket.AF_INET, ("8.8.8.8", 53)))
    attempt("UDP, IPv6", lambda: sent(socket.AF_INET6, ("::1", udp)))
    attempt("name service", lambda: socket.getaddrinfo("example.com", 80))
    for name, address in (("path", path), ("abstract", abstract), ("/var/run/docker.sock", "/var/run/docker.sock"),
                          ("/run/dbus/system_bus_socket", "/run/dbus/system_bus_socket"), ("/dev/log", "/dev/log")):
        attempt(name, lambda: connected(socket.AF_UNIX, stream, address))
        attempt(name + ", seqpacket", lambda: connected(socket.AF_UNIX, socket.SOCK_SEQPACKET, address))
        attempt(name + ", connected pair", lambda: reconnected(stream, address))
    for name, address in (("path", path_datagrams), ("abstract", abstract_datagrams)):
        attempt(name + ", datagram", lambda: sent(socket.AF_UNIX, address))
        attempt(name + ", datagram by a pair", lambda: by_pair(address))
        attempt(name + ", datagram by a connected pair", lambda: reconnected(datagram, address))
    for family, kind, protocol in ((2, 3, 1), (2, 2, 1), (10, 3, 58), (16, 3, 0), (16, 3, 15), (16, 3, 9), (17, 3, 0x300),
                                   (40, 1, 0), (38, 5, 0), (31, 3, 1), (29, 3, 1), (15, 3, 2), (44, 3, 0), (30, 1, 0),
                                   (21, 5, 0), (43, 1, 0), (41, 2, 0), (42, 2, 0), (45, 2, 0)):
        attempt("family %d %d %d" % (family, kind, protocol), lambda: socket.socket(family, kind, protocol))
    return verdict()
"""


def _arguments(arena: Arena) -> dict[str, Any]:
    servers = arena.servers
    return {
        "ports": [servers.port("TCP")],
        "udp": servers.port("UDP"),
        "six": servers.port("TCP, IPv6"),
        "path": servers.path,
        "path_datagrams": servers.path_datagrams,
        "abstract": servers.abstract,
        "abstract_datagrams": servers.abstract_datagrams,
    }


async def test_no_server_is_reached(arena: Arena) -> None:
    await arena.assault(REACH, **_arguments(arena))


async def test_a_program_reaches_none_either(arena: Arena) -> None:
    from_stdin = "import json, sys\nscope = {}\nask = json.loads(sys.stdin.readline())\nexec(ask['source'], scope)\n"
    from_stdin += "print(json.dumps(scope['attack'](**ask['arguments'])), flush=True)"
    answer = await arena.speak(from_stdin, REACH, _arguments(arena))
    assert answer["won"] == [], answer["won"]
    await arena.unharmed()


@pytest.mark.parametrize("arena", [COMBINATIONS["all layers, root"]], ids=["no layers"], indirect=True)
async def test_the_attacks_win_where_nothing_stops_them(arena: Arena) -> None:
    """Else the suite would prove nothing."""
    everything = ("bubblewrap", "landlock", "seccomp", "own-user")
    with started(everything, limits=LIMITS, pool=0, allow_unsandboxed=True) as running:
        result = await arena.run(REACH, sandbox=running.sandbox, **_arguments(arena))
    assert result.outcome == "returned", result.error
    expected = {"abstract", "path", "UDP", "path, datagram by a pair", "from a child", "listening", "family 16 3 0"}
    assert expected <= set(result.value["won"])
    assert {"TCP", "UDP", "path", "abstract", "path, datagrams", "abstract, datagrams"} <= set(arena.servers.heard())
    while arena.servers.heard():
        pass


async def test_without_namespaces_there_is_no_way_out_at_all(arena: Arena) -> None:
    egress = Egress(socket=arena.servers.path, token="any")
    if arena.combination.namespaces:
        source = "import socket\ndef attack(port):\n    attempt('TCP', lambda: socket.create_connection(('127.0.0.1', port), 1))\n"
        source += "    attempt('UDP', lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))\n"
        source += "    attempt('raw', lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))\n    return verdict()"
        await arena.assault(source, egress=egress, port=arena.servers.port("TCP"))
    else:
        with pytest.raises(SandboxUnavailable, match="network access needs bubblewrap"):
            await arena.run("def attack(): return 1", egress=egress, limits=Limits())
        await arena.unharmed()
