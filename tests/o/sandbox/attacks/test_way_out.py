"""The way out of a call that has one: names that change their mind, redirects, and every way to write an inner address."""

from collections.abc import AsyncIterator

import pytest

from o.guard.policy import Guard, parse_allowed
from o.sandbox.egress import EgressProxy
from tests.support.attacks import LIMITS, Arena
from tests.support.egress import Server, serving

# Without namespaces no call has a way out, which `test_network` sees to.
TRIED_WITH = ("all layers, root", "all layers, ordinary user", "no Landlock, ordinary user")

_LIMITS = LIMITS.model_copy(update={"wall": 30.0})

FETCH = """
import http.client, urllib.error, urllib.request

def attack(urls, tunnels):
    found = []
    for url in urls:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                found.append([url, answer.status, answer.read().decode()])
        except urllib.error.HTTPError as error:
            found.append([url, error.code, ""])
        except (OSError, http.client.HTTPException, ValueError) as error:
            found.append([url, 0, str(error)])
    proxy = urllib.request.getproxies()["http"].rpartition("@")
    token = proxy[0].rpartition("//")[2]
    import base64
    for host in tunnels:
        connection = http.client.HTTPConnection(proxy[2].rstrip("/"), timeout=10)
        try:
            secret = base64.b64encode(token.encode()).decode()
            connection.set_tunnel(host, headers={"Proxy-Authorization": "Basic " + secret})
            connection.request("GET", "/")
            answer = connection.getresponse()
            found.append([host, answer.status, answer.read().decode()])
        except (OSError, http.client.HTTPException) as error:
            found.append([host, 0, str(error)])
        finally:
            connection.close()
    return found
"""


class _Names:
    """A resolver whose answers change with every question."""

    def __init__(self, answers: dict[str, list[list[str]]]) -> None:
        self._answers = answers

    async def __call__(self, host: str, port: int) -> list[str]:
        left = self._answers.get(host, [["10.0.0.1"]])
        return left.pop(0) if len(left) > 1 else left[0]


@pytest.fixture
async def hidden() -> AsyncIterator[Server]:
    async with serving() as server:
        server.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\ninside"
        yield server


async def test_no_name_redirect_or_spelling_leads_inwards(arena: Arena, hidden: Server) -> None:
    inside = f"127.0.0.1:{hidden.port}"
    # 127.0.0.2 is the only address that is open, so it stands for the world.
    names = _Names(
        {
            "rebinding.example": [["127.0.0.2"], ["127.0.0.1"], ["10.0.0.1"]],
            "both.example": [["127.0.0.2", "127.0.0.1"]],
            "metadata.example": [["169.254.169.254"]],
            "six.example": [["::ffff:127.0.0.1"], ["::1"], ["fd00:ec2::254"]],
            "zero.example": [["0.0.0.0"]],
        }
    )
    async with (
        serving(address="127.0.0.2", port=hidden.port) as world,
        EgressProxy(Guard(parse_allowed("127.0.0.2/32"), names), arena.egress_socket("way-out")) as proxy,
    ):
        port = hidden.port
        every = [f"{name}.example" for name in ("rebinding", "both", "metadata", "six", "zero")]
        spellings = ["127.0.0.1", "0", "0.0.0.0", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "[::1]",
                     "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::]", "[64:ff9b::7f00:1]", "localhost", "169.254.169.254",
                     "[fd00:ec2::254]", "127.0.0.1.", "①②⑦.0.0.1"]  # fmt: skip
        hosts = [f"{host}:{port}" for host in (*every, "127.0.0.1", "0.0.0.0", "localhost")]
        world.answer = f"HTTP/1.1 302 Found\r\nlocation: http://{inside}/\r\ncontent-length: 0\r\n\r\n".encode()
        urls = [f"http://rebinding.example:{port}/"] * 4 + [f"http://{host}:{port}/" for host in (*every, *spellings)]
        urls += ["http://0/", "http://169.254.169.254/latest/meta-data/", "http://rebinding.example@127.0.0.1/"]
        tunnels = [f"{host}:{port}" for host in (*every, *spellings) if host.isascii()]
        async with proxy.grant(hosts) as egress:
            result = await arena.run(FETCH, egress=egress, limits=_LIMITS, urls=urls, tunnels=tunnels)
    assert result.outcome == "returned", (result.error, result.stderr)
    assert [each for each in result.value if each[1] == 200 or "inside" in each[2]] == []
    assert len(world.heard) >= 1  # else nothing was tried at all
    assert hidden.heard == []
    await arena.unharmed(result)
