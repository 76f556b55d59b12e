import pytest
from hypothesis import given
from hypothesis import strategies as st

from o.errors import InvalidArgument
from o.sandbox.egress_hosts import HostRule, Hosts, comparable


@pytest.mark.parametrize(
    ("entry", "host", "port", "allowed"),
    [
        ("api.example.com", "api.example.com", 443, True),
        ("api.example.com", "api.example.com", 80, True),
        ("API.Example.com.", "api.example.com", 443, True),
        ("api.example.com", "api.example.com", 22, False),
        ("api.example.com", "example.com", 443, False),
        ("api.example.com", "evil-api.example.com", 443, False),
        ("api.example.com", "api.example.com.evil.net", 443, False),
        ("api.example.com:8080", "api.example.com", 8080, True),
        ("api.example.com:8080", "api.example.com", 443, False),
        ("*.example.com", "a.example.com", 443, True),
        ("*.example.com", "a.b.example.com", 443, True),
        ("*.example.com", "example.com", 443, False),
        ("*.example.com", "aexample.com", 443, False),
        ("*.example.com:8443", "a.example.com", 8443, True),
        ("bücher.example", "xn--bcher-kva.example", 443, True),
        ("[2606:4700::1111]:443", "2606:4700::1111", 443, True),
        ("93.184.216.34", "93.184.216.34", 80, True),
    ],
)
def test_what_an_entry_opens(entry: str, host: str, port: int, allowed: bool) -> None:
    assert Hosts([entry]).allow(host, port) is allowed


@pytest.mark.parametrize(
    "entry",
    ["", "*", "*.", "*.com", "*.127.0.0.1", "https://example.com", "a b", "a/b", "x:0", "x:99999", "x:y", "a@b"],
)
def test_what_is_no_entry_is_refused_with_the_fix(entry: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^network: .*write "):
        HostRule.parse(entry)


def test_without_entries_nothing_is_open() -> None:
    assert not Hosts([]).allow("example.com", 443)


def test_any_public_host_is_one_on_the_usual_ports() -> None:
    hosts = Hosts([], any_public=True)
    assert hosts.allow("example.com", 443)
    assert not hosts.allow("example.com", 25)


@given(st.text(max_size=80))
def test_any_text_is_a_rule_or_is_refused(entry: str) -> None:
    try:
        rule = HostRule.parse(entry)
    except InvalidArgument:
        return
    assert comparable(rule.host) == rule.host
    assert rule.allows(rule.host, rule.port or 443) is not rule.below
