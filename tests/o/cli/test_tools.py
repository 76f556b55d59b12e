"""`o tools` against a real API and worker."""

import json
import uuid
from pathlib import Path

import pytest

from o.cli.app import main
from o.cli.tool_output import arguments_of
from o.errors import InvalidArgument
from tests.support.servers import Platform


@pytest.fixture
def use(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("O_BASE_URL", platform.url)
    monkeypatch.delenv("O_API_KEY", raising=False)


@pytest.fixture
def name() -> str:
    """A name no other test has: the organisation is everybody's."""
    return f"t_{uuid.uuid4().hex[:12]}"


@pytest.fixture
def file(tmp_path: Path, name: str) -> Path:
    made = tmp_path / "tool.py"
    made.write_text(
        f'def {name}(first: int, second: int = 1) -> int:\n    """Add numbers.\n\n    Args:\n'
        '        first: One.\n        second: Another.\n    """\n    return first + second\n'
    )
    return made


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


@pytest.mark.usefixtures("use")
def test_a_tool_is_made_listed_shown_changed_and_removed(
    capsys: pytest.CaptureFixture[str], file: Path, name: str
) -> None:
    more = ("--effect", "reads", "--network", "x.test", "--pip", "numpy==2.3.1", "--tag", name, "--requires-approval")
    code, out, err = _run(capsys, "tools", "create", str(file), *more, "--json")
    assert code == 0, err
    made = json.loads(out)
    assert (made["name"], made["effect"], made["sandbox"]["network"]) == (name, "reads", ["x.test"])
    assert made["pip_requirements"] == [{"name": "numpy", "version": "2.3.1"}] and made["tags"] == [name]
    assert made["default_requires_approval"] is True
    assert name in _run(capsys, "tools", "ls", "--custom")[1]
    assert "conversation_search" in _run(capsys, "tools", "ls")[1]
    assert [tool["name"] for tool in json.loads(_run(capsys, "tools", "ls", "--search", name, "--json")[1])] == [name]
    shown = _run(capsys, "tools", "show", name)[1]
    for words in ("Add numbers.", "first (integer)", "second (integer, optional)", "x.test", "numpy", "return first"):
        assert words in shown
    assert json.loads(_run(capsys, "tools", "show", made["id"], "--json")[1])["id"] == made["id"]
    assert made["id"] in _run(capsys, "tools", "create", str(file), "--no-requires-approval")[1]
    assert json.loads(_run(capsys, "tools", "show", name, "--json")[1])["default_requires_approval"] is False
    assert json.loads(_run(capsys, "tools", "rm", name, "--yes", "--json")[1]) == {"id": made["id"], "removed": True}
    code, _, err = _run(capsys, "tools", "show", name)
    assert code == 1 and "o tools ls" in err


@pytest.mark.usefixtures("use")
def test_typescript_comes_with_its_schema(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str) -> None:
    source, schema = tmp_path / "tool.ts", tmp_path / "schema.json"
    source.write_text(f"export function {name}() {{ return 1 }}")
    code, _, err = _run(capsys, "tools", "create", str(source))
    assert code == 1 and "a TypeScript tool needs one" in err
    schema.write_text(json.dumps({"name": name, "description": "One."}))
    made = json.loads(_run(capsys, "tools", "create", str(source), "--schema", str(schema), "--json")[1])
    assert (made["name"], made["source_type"]) == (name, "typescript")
    assert _run(capsys, "tools", "rm", name, "--yes")[0] == 0
    schema.write_text("[]")
    code, _, err = _run(capsys, "tools", "create", str(source), "--schema", str(schema))
    assert code == 1 and "holds no JSON object" in err


@pytest.mark.usefixtures("use")
def test_a_base_tool_runs_for_an_agent_only(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = _run(capsys, "tools", "run", "conversation_search")
    assert code == 1 and "--agent" in err


def test_arguments_are_an_object_or_pairs() -> None:
    assert arguments_of([]) == {}
    assert arguments_of(['{"a": 1, "b": {"c": 2}}', "d=x=y"]) == {"a": 1, "b": {"c": 2}, "d": "x=y"}
    assert arguments_of(["n=1", "s=one", 'q="1"', "l=[1]", "e="]) == {"n": 1, "s": "one", "q": "1", "l": [1], "e": ""}
    for wrong in ("[1]", "word", "1", "a b=c"):
        with pytest.raises(InvalidArgument, match="neither a JSON object nor name=value"):
            arguments_of([wrong])
