from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o.guard.policy import Denied, Guard, parse_allowed

NOWHERE = {
    "a loopback address": [
        "127.0.0.1",
        "127.255.255.254",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "64:ff9b::7f00:1",
    ],
    "a private address": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fd00:ec2::254", "fec0::1"],
    "a link-local address": ["169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"],
    "a carrier's private address": ["100.64.0.1", "100.100.100.200", "100.127.255.255"],
    "an unspecified address": ["0.0.0.0", "0.1.2.3", "::", "::ffff:0.0.0.0"],
    "a multicast address": ["224.0.0.1", "239.255.255.250", "ff02::1", "ff0e::1"],
    "a cloud's internal address": ["168.63.129.16", "::ffff:168.63.129.16"],
    "a reserved address": [
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "240.0.0.1",
        "255.255.255.255",
        "::127.0.0.1",  # IPv4-compatible
        "::ffff:0:7f00:1",  # IPv4-translated
        "64:ff9b:1::7f00:1",  # NAT64 for local use
        "100::1",
        "2001::1",  # Teredo
        "2001:db8::1",
        "2002:7f00:1::",  # 6to4 of 127.0.0.1
        "3fff::1",
        "4000::1",
        "5f00::1",
    ],
}
PUBLIC = ["8.8.8.8", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::808:808"]


def literal(address: str) -> str:
    return f"http://[{address}]:8000/v1" if ":" in address else f"https://{address}/v1"


async def nobody(host: str, port: int) -> list[str]:
    raise AssertionError(f"{host} was resolved")


@pytest.mark.parametrize(("kind", "address"), [(kind, address) for kind in NOWHERE for address in NOWHERE[kind]])
async def test_what_the_internet_cannot_reach_is_denied_with_the_fix(kind: str, address: str) -> None:
    guard = Guard(resolve=nobody)
    with pytest.raises(Denied, match=f"is {kind}; whoever runs O can allow it with O_ALLOWED_HOSTS"):
        guard.check(literal(address))
    with pytest.raises(Denied, match=f"is {kind}"):
        await guard.addresses(address, 80)


@pytest.mark.parametrize("address", [address for kind in NOWHERE.values() for address in kind])
async def test_a_name_that_leads_there_is_denied(address: str) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return [address]

    with pytest.raises(Denied, match=r"^models\.example leads to a.* address; "):
        await Guard(resolve=resolve).addresses("models.example", 80)


@pytest.mark.parametrize("address", PUBLIC)
async def test_what_the_internet_can_reach_is_let_through(address: str) -> None:
    guard = Guard(resolve=nobody)
    guard.check(literal(address))
    assert await guard.addresses(address, 80) == [address]


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0X7F.1",
        "017700000001",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "127.0.0.1.",
        "127.0.0.1..",
        "10.0.0.0x1",
        "1.2.3.4.5",
        "256.0.0.1",
        "127。0。0。1",
        "１２７.0.0.1",
        "①②⑦.0.0.1",
        "127%2e0%2e0%2e1",
        "localhost",
        "LocalHost.",
        "metadata.localhost",
        "ｌocalhost",
        "[::ffff:127.0.0.1]",
        "[0:0:0:0:0:ffff:7f00:0001]",
        "[::1%lo]",
        "[::1%25lo]",
        "[::]",
        "[v1.x]",
        "a..b",
        ".a",
        "a b",
        "a\\b",
        "x" * 64,
        ".".join(["x" * 60] * 5),
    ],
)
def test_disguises_are_denied(host: str) -> None:
    with pytest.raises(Denied):
        Guard().check(f"http://{host}/v1")
    with pytest.raises(Denied):
        Guard().check(f"http://{host}:8000")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example.com/v1",
        "//api.example.com/v1",
        "ftp://api.example.com",
        "file:///etc/passwd",
        "gopher://api.example.com",
        "unix:///run/x.sock",
        "http:///v1",
        "http://:80/",
        "http:api.example.com",
        "http://hunter2@api.example.com",
        "http://me:hunter2@api.example.com",
        "http://api.example.com\\@127.0.0.1/",
        "http://api.example.com:0/",
        "http://api.example.com:65536/",
        "http://api.example.com:-1/",
        "http://api.example.com:hunter2/",
        "http://api.example.com/\nhunter2",
        "http://api.example.com/\ud800",
        "http://hunter2 hunter2/",
        "https://api.example.com/" + "x" * 70_000,
    ],
)
def test_what_is_no_plain_web_address_is_denied_without_repeating_it(url: str) -> None:
    with pytest.raises(Denied) as caught:
        Guard().check(url)
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com/v1",
        "HTTPS://API.Example.COM.:8443/v1?key=x#y",
        "http://vllm:8000",
        "http://my_server.internal/",
        "https://münchen.example/ü",
        "https://3com.example",
        "https://1.example",
        "https://localhost.example",
    ],
)
def test_names_are_not_resolved_when_checked(url: str) -> None:
    Guard(resolve=nobody).check(url)


@given(st.text() | st.builds("http://{}".format, st.text()))
def test_any_text_is_either_fine_or_denied(url: str) -> None:
    with suppress(Denied):
        Guard().check(url)


async def test_only_the_allowed_addresses_of_a_name_are_given_and_it_is_asked_once() -> None:
    asked = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["10.0.0.1", "93.184.216.34", "fe80::1%eth0", "2606:4700::1111"]

    guard = Guard(resolve=resolve)
    assert await guard.addresses("Models.Example.", 443) == ["93.184.216.34", "2606:4700::1111"]
    assert asked == [("models.example", 443)]


@pytest.mark.parametrize("port", [0, -1, 65536])
async def test_a_port_that_does_not_exist_is_denied(port: int) -> None:
    with pytest.raises(Denied, match="port"):
        await Guard(resolve=nobody).addresses("models.example", port)


async def test_a_name_without_addresses_is_unknown() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return []

    with pytest.raises(OSError):
        await Guard(resolve=resolve).addresses("models.example", 80)


async def test_the_systems_resolver_knows_this_machine() -> None:
    assert await Guard(parse_allowed("127.0.0.0/8, ::1")).addresses("localhost", 80)
    with pytest.raises(Denied, match="localhost leads to a loopback address"):
        await Guard().addresses("localhost", 80)


@pytest.mark.parametrize(
    ("allowed", "url"),
    [
        ("10.0.0.0/8", "http://10.1.2.3"),
        ("10.0.0.0/8", "http://[::ffff:10.1.2.3]"),
        ("127.0.0.1", "http://127.0.0.1:11434"),
        ("127.0.0.1/32", "http://localhost:11434"),
        ("::1", "http://localhost:11434"),
        ("[fd00::]", "http://[fd00::]"),
        ("LOCALHOST.", "http://localhost"),
        ("fd00::/8", "http://[fd12::1]"),
        ("0.0.0.0/0", "http://169.254.169.254"),
    ],
)
def test_the_operator_can_open_networks_and_hosts(allowed: str, url: str) -> None:
    with pytest.raises(Denied):
        Guard().check(url)
    Guard(parse_allowed(allowed)).check(url)


async def test_an_allowed_name_may_lead_anywhere_and_no_other_name_may() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["10.0.0.1"]

    guard = Guard(parse_allowed("vLLM.internal., münchen.example"), resolve)
    assert await guard.addresses("vllm.INTERNAL", 8000) == ["10.0.0.1"]
    assert await guard.addresses("xn--mnchen-3ya.example", 8000) == ["10.0.0.1"]
    for other in ("internal", "a.vllm.internal", "vllm.internal.example", "10.0.0.1"):
        with pytest.raises(Denied):
            await guard.addresses(other, 8000)


@pytest.mark.parametrize("allowed", ["10.0.0.0/8", "127.0.0.2", "::/0", "vllm.internal"])
def test_what_is_opened_is_no_wider_than_said(allowed: str) -> None:
    guard = Guard(parse_allowed(allowed))
    for private in ("192.168.0.1", "127.0.0.1", "::ffff:127.0.0.1"):
        with pytest.raises(Denied):
            guard.check(literal(private))


def test_the_setting_is_read_as_networks_and_names() -> None:
    read = parse_allowed(" 10.0.0.0/8,127.0.0.1/32 , vllm.internal,, ")
    assert [str(entry) for entry in read] == ["10.0.0.0/8", "127.0.0.1/32", "vllm.internal"]
    assert parse_allowed("") == ()


@pytest.mark.parametrize(
    ("entry", "fix"),
    [
        ("10.0.0.1/8", "write 10.0.0.0/8"),
        ("10.0.0.0/33", "is neither"),
        ("vllm.internal:8000", "is neither"),
        ("http://vllm.internal", "is neither"),
        ("*.internal", "is neither"),
        ("*", "is neither"),
        ("2130706433", "is neither"),
        ("127.1", "is neither"),
        ("two words", "is neither"),
        ("::ffff:10.0.0.0/104", "write the IPv4 network"),
        ("64:ff9b::a00:0/104", "write the IPv4 network"),
    ],
)
def test_an_entry_that_means_nothing_is_named_with_the_fix(entry: str, fix: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_allowed(f"127.0.0.1,{entry}")
    assert str(caught.value).startswith(entry) and fix in str(caught.value)
