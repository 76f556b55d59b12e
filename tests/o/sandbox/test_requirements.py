import pytest
from hypothesis import given
from hypothesis import strategies as st

from o.errors import InvalidArgument
from o.guard.policy import Guard
from o.sandbox import installer
from o.sandbox.egress import EgressProxy
from o.sandbox.requirements import build_egress, key_of, normalised, refuse_packages


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["requests"], ("requests",)),
        (["Zope.Interface == 5.0", "A_b"], ("a-b", "zope-interface==5.0")),
        (["httpx[Socks,http2]>=0.2,<1"], ("httpx[http2,socks]<1,>=0.2",)),
        (["a", "A", "a "], ("a",)),
        (["a; python_version > '3'"], ('a; python_version > "3"',)),
        ([], ()),
    ],
)
def test_requirements_have_one_form(given: list[str], expected: tuple[str, ...]) -> None:
    assert normalised(given) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "-r requirements.txt", "--index-url=http://evil", "./local", "/etc", "git+https://x/y", "a b", "a\n-r b"),
        *("a @ file:///etc/passwd", "a @ https://x/y.whl", "a @ git+https://x/y", "a --hash=sha256:0", "a" * 300),
    ],
)
def test_what_is_no_name_and_version_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^pip_requirements: "):
        normalised([text])


def test_more_than_a_tool_may_have_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="51 are more than the 50"):
        normalised([f"a{n}" for n in range(51)])


@given(st.lists(st.text(max_size=60), max_size=4))
def test_any_text_is_one_line_for_uv_or_is_refused(texts: list[str]) -> None:
    try:
        lines = normalised(texts)
    except InvalidArgument:
        return
    assert normalised(lines) == lines
    assert all("\n" not in line and not line.startswith(("-", "/", ".")) and " @ " not in line for line in lines)


def test_packages_of_npm_are_refused_by_name() -> None:
    refuse_packages([])
    with pytest.raises(InvalidArgument, match=r"^npm_requirements: left-pad@1 cannot be installed"):
        refuse_packages(["left-pad@1"])


def test_the_key_depends_on_what_is_asked_for_and_where() -> None:
    keys = {key_of(("a",), None), key_of(("a",), "https://i.example/simple"), key_of(("a", "b"), None)}
    assert len(keys) == 3
    assert key_of(("a",), None) in keys


@pytest.mark.parametrize("index", ["", "index.example", "ftp://index.example", "https://"])
def test_an_index_that_is_no_url_is_refused(index: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    proxy = EgressProxy(Guard(), tmp_path_factory.mktemp("x") / "s")
    with pytest.raises(InvalidArgument, match="O_PACKAGE_INDEX_URL"):
        build_egress(proxy, index)


def test_a_complaint_is_one_line_without_paths_passwords_and_drawings() -> None:
    said = (
        "  × No solution found when resolving dependencies:\n"
        "  ╰─▶ Because nosuch was not found at https://me:pw@index.example/simple and\n"
        "      /var/lib/o/libraries/.new-x/requirements.in wants it, we give up.\n"
    )
    assert installer.complaint(("nosuch",), said) == (
        "pip_requirements: nosuch cannot be installed: No solution found when resolving dependencies: Because nosuch "
        "was not found at https://index.example/simple and (a file) wants it, we give up."
    )


HASH = "    --hash=sha256:" + "0" * 64


@pytest.mark.parametrize("lock", ["", f"a==1.0 \\\n{HASH}\n", f"a-b==1.0 ; x == 'y' \\\n{HASH} \\\n{HASH}\n"])
def test_a_lock_is_versions_and_hashes(lock: str) -> None:
    installer.check_lock(lock)


@pytest.mark.parametrize("lock", ["a\n", "a @ file:///x\n", "-e /x\n", "--index-url http://x\n", "a==1 --hash=md5:0\n"])
def test_a_lock_is_nothing_else(lock: str) -> None:
    with pytest.raises(InvalidArgument):
        installer.check_lock(lock)
