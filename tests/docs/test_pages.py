"""The documents point to what exists, and name every command, setting and decision there is."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.app import create_app
from o.cli import app
from o.settings import Settings, variable

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

_CODE = re.compile(r"```.*?```", re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FILE = re.compile(r"`((?:o|activities|workflows|workers|api|migrations|tests|docs|benchmarks)/[\w./-]+)(?:::(\w+))?`")


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _CODE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _broken_links(page: Path) -> Iterator[str]:
    for target in _LINK.findall(_CODE.sub("", page.read_text())):
        path, _, anchor = target.partition("#")
        if ":" in path:
            continue
        pointed = (page.parent / path).resolve() if path else page
        if not pointed.exists() or (anchor and anchor not in _anchors(pointed)):
            yield target


def _missing_files(page: Path) -> Iterator[str]:
    for path, test in _FILE.findall(_CODE.sub("", page.read_text())):
        named = ROOT / path
        if not named.exists() or (test and f"def {test}(" not in named.read_text()):
            yield f"{path}::{test}" if test else path


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    assert list(_broken_links(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_named_files_and_tests_exist(page: Path) -> None:
    assert list(_missing_files(page)) == []


def test_every_decision_is_listed_and_has_its_four_parts() -> None:
    decisions = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))
    listed = (ROOT / "docs/adr/README.md").read_text()
    assert [_name(page) for page in decisions if f"({page.name})" not in listed] == []
    assert [int(page.name[:4]) for page in decisions] == list(range(1, len(decisions) + 1))
    for page in decisions:
        headings = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
        assert headings == ["Context", "Decision", "Consequences", "Alternatives"], _name(page)


def test_every_page_is_in_the_index() -> None:
    listed = (ROOT / "docs/README.md").read_text()
    pages = [page.name for page in (ROOT / "docs").glob("*.md") if page.name != "README.md"]
    assert [name for name in pages if f"({name})" not in listed] == []


def test_the_quick_reference_has_every_command_target_setting_and_route() -> None:
    page = (ROOT / "docs/quick-reference.md").read_text()
    commands = [f"`o {name}" for name in app._COMMANDS]
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    settings = [f"`{variable(name)}`" for name in Settings.model_fields]
    routes = [f"`{method.upper()} {path}`" for path, of in create_app().openapi()["paths"].items() for method in of]
    wanted = [*commands, *(f"`make {target}`" for target in targets), *settings, *routes]
    assert [name for name in wanted if name not in page] == []


def test_the_licence_of_the_readme_is_the_project_files() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] in (ROOT / "README.md").read_text()
