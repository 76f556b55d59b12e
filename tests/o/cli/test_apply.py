"""`o apply` and `o tools test` against a real API."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from o.cli.app import main
from o.embedded.layout import Layout
from tests.support.sandbox import started
from tests.support.servers import Platform

FILE = '''
from o.dsl import block, define_agent, id_of, tool, when

LIMIT = 3

@tool(name="shorten_{name}", effect="pure"{options})
def shorten(text: str) -> str:
    """Shorten a text.

    Args:
        text: The text.
    """
    print("shortening")
    return text[:LIMIT]

@tool(name="fail_{name}")
def fail(code: int) -> None:
    """Fail.

    Args:
        code: Any number.
    """
    raise ValueError(f"code {{code}}")

first = define_agent("Applied {name}", tools=[shorten], rules=[when(shorten).at_most({most})], secrets=["APPLY_KEY"],
    blocks=[block("human", "Ada"), block("house", "{house}", keep=False)], system="Work.", model="scripted/echo")
define_agent("Applied {name} too", blocks=[block("team", f"Ask {{id_of(first)}}.")], model="scripted/echo")
'''

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(platform: Platform, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("O_BASE_URL", platform.url)
    monkeypatch.setenv("APPLY_KEY", "sesame-of-apply")
    monkeypatch.delenv("O_API_KEY", raising=False)

    def call(*line: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(line))
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    def put(name: str, *, house: str = "Quiet.", most: int = 2, options: str = "") -> str:
        file = tmp_path / "agents.py"
        file.write_text(FILE.format(name=name, house=house, most=most, options=options))
        return str(file)

    return put


@pytest.fixture
def http(platform: Platform) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=platform.url, timeout=30) as client:
        yield client


def _agent(http: httpx.Client, name: str) -> dict[str, object]:
    found: list[dict[str, object]] = http.get("/v1/agents/", params={"name": name}).json()
    assert len(found) == 1
    return found[0]


def _blocks(agent: dict[str, object]) -> dict[str, str]:
    blocks = agent["blocks"]
    assert isinstance(blocks, list)
    return {block["label"]: block["value"] for block in blocks}


def test_applied_again_there_is_nothing_to_do(run: Run, write: Callable[..., str], http: httpx.Client) -> None:
    file = write("one")
    code, out, err = run("apply", file, "--dry-run")
    assert code == 0, err
    assert [line for line in out.splitlines() if line.startswith("+")] == [
        *("+ tool shorten_one", "+ tool fail_one", "+ agent Applied one", "+ agent Applied one too"),
    ]
    assert http.get("/v1/agents/", params={"name": "Applied one"}).json() == []
    code, out, err = run("apply", file, "--yes")
    assert (code, out.splitlines()[-1]) == (0, "Done: 4 changes."), err
    assert "sesame" not in out + err
    made = _agent(http, "Applied one")
    assert made["metadata"] == {"o.apply": "default"}
    assert _blocks(_agent(http, "Applied one too")) == {"team": f"Ask {made['id']}."}
    code, out, err = run("apply", file)
    assert (code, out.splitlines()[-1]) == (0, "Nothing to do."), out + err


def test_what_differs_is_changed_and_memory_kept(run: Run, write: Callable[..., str], http: httpx.Client) -> None:
    assert run("apply", write("two"), "--yes")[0] == 0
    made = _agent(http, "Applied two")
    for label, value in (("human", "Ada likes tea."), ("house", "Loud.")):
        http.patch(f"/v1/agents/{made['id']}/core-memory/blocks/{label}", json={"value": value}).raise_for_status()
    file = write("two", most=5, options=', network=["a.example"], requires_approval=True')
    code, out, err = run("apply", file, "--yes", "--json")
    assert code == 0, err
    assert {(each["kind"], each["name"]): each["action"] for each in json.loads(out)["changes"]} == {
        ("tool", "shorten_two"): "update",
        ("tool", "fail_two"): "unchanged",
        ("agent", "Applied two"): "update",
        ("block", "Applied two/human"): "unchanged",
        ("block", "Applied two/house"): "update",
        ("agent", "Applied two too"): "unchanged",
        ("block", "Applied two too/team"): "unchanged",
    }
    after = _agent(http, "Applied two")
    assert after["id"] == made["id"]
    assert _blocks(after) == {"human": "Ada likes tea.", "house": "Quiet."}
    rules = after["tool_rules"]
    assert isinstance(rules, list)
    assert {(rule["type"], rule.get("max_count_limit")) for rule in rules} == {
        ("max_count_per_step", 5),
        ("requires_approval", None),
    }
    assert json.loads(run("apply", file, "--json")[1])["changes"][0]["action"] == "unchanged"
    # As it was: what was taken out of the file is taken back.
    assert run("apply", write("two"), "--yes")[0] == 0
    (shorten,) = http.get("/v1/tools/", params={"name": "shorten_two"}).json()
    assert shorten["sandbox"].get("network", []) == [] and not shorten["default_requires_approval"]


def test_a_block_that_is_new_in_the_file_is_given_to_the_agent(run: Run, tmp_path: Path, http: httpx.Client) -> None:
    file, text = tmp_path / "more.py", "from o.dsl import block, define_agent\ndefine_agent('More', blocks=[{}])\n"
    file.write_text(text.format("block('human', 'Ada')"))
    assert run("apply", str(file), "--yes", "--model", "scripted/echo")[0] == 0
    file.write_text(text.format("block('human', 'x'), block('team/notes', 'New.', description='Of all.', limit=50)"))
    code, out, err = run("apply", str(file), "--yes")
    assert (code, "+ block More/team/notes" in out) == (0, True), err
    agent = _agent(http, "More")
    assert _blocks(agent) == {"human": "Ada", "team/notes": "New."}
    assert run("apply", str(file))[1].splitlines()[-1] == "Nothing to do."


def test_an_error_in_a_file_is_told_with_its_line_however_the_file_is_named(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.py").write_text("x = 1\n\nx / 0\n")
    monkeypatch.chdir(tmp_path)
    assert "broken.py: line 3: ZeroDivisionError" in run("apply", "broken.py")[2]


def test_an_agent_made_by_hand_is_left_alone(run: Run, write: Callable[..., str], http: httpx.Client) -> None:
    by_hand = http.post("/v1/agents/", json={"name": "Applied three", "model": "scripted/echo"}).json()
    code, _, err = run("apply", write("three"), "--yes")
    assert code == 0
    assert "another agent is called 'Applied three' and is none of project 'default'" in err
    found = http.get("/v1/agents/", params={"name": "Applied three"}).json()
    assert len(found) == 2
    assert next(each for each in found if each["id"] == by_hand["id"])["metadata"] == by_hand["metadata"]
    assert run("apply", write("three"), "--yes", "--project", "other")[0] == 0
    assert len(http.get("/v1/agents/", params={"name": "Applied three"}).json()) == 3


def test_without_consent_nothing_is_done(
    run: Run, write: Callable[..., str], http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert run("apply", write("four"))[0] == 1
    assert http.get("/v1/agents/", params={"name": "Applied four"}).json() == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("x = 1", "defines nothing: use @tool and define_agent"),
        ("x = (", "agents.py: line 1"),
        ("\n1 / 0", "agents.py: line 2: ZeroDivisionError"),
        ("from o.dsl import *\n@tool\ndef a(n):\n    'A.'", "parameter 'n' has no type"),
        ("from o.dsl import *\ndefine_agent('A', tools=[existing('gone_tool')])", "no tool 'gone_tool'"),
        ("from o.dsl import *\ndefine_agent('A', secrets=['UNSET_KEY'])", "needs UNSET_KEY: set it"),
        (
            "from o.dsl import *\n@tool\ndef send_message():\n    'Say.'",
            "none of yours",
        ),
        ("from o.dsl import *\ndefine_agent('A', model='nobody/nothing')", "agent 'A' could not be made so"),
    ],
)
def test_files_that_cannot_be_applied(run: Run, tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "agents.py").write_text(text)
    code, _, err = run("apply", str(tmp_path / "agents.py"), "--yes")
    assert code == 1
    assert complaint in err


@pytest.mark.parametrize("agent_type", ["memgpt_agent", "memgpt_v2_agent", "react_agent", "sleeptime_agent"])
def test_agents_of_all_types_settle(run: Run, tmp_path: Path, agent_type: str) -> None:
    (tmp_path / "agents.py").write_text(
        "from o.dsl import *\n@tool(requires_approval=True)\ndef settle():\n    'Settle.'\n"
        f"define_agent('Settled {agent_type}', agent_type={agent_type!r}, tools=[settle], model='scripted/echo',\n"
        "    description='d', timezone='Europe/Oslo', context_window=9000, tags=['t'])\n"
    )
    assert run("apply", str(tmp_path / "agents.py"), "--yes")[0] == 0
    code, out, err = run("apply", str(tmp_path / "agents.py"))
    assert (code, out.splitlines()[-1]) == (0, "Nothing to do."), out + err


def test_a_file_finds_its_neighbours(run: Run, tmp_path: Path) -> None:
    (tmp_path / "beside_apply.py").write_text("from o.dsl import tool\n@tool\ndef unused():\n    'Unused.'\n")
    (tmp_path / "agents.py").write_text("import beside_apply\nfrom o.dsl import *\ndefine_agent('Beside')\n")
    code, out, err = run("apply", str(tmp_path / "agents.py"), "--dry-run")
    assert code == 0, err
    assert out.splitlines() == ["+ agent Beside", "This is what would change."]


@pytest.fixture(scope="module")
def sandbox(layout: Layout) -> Iterator[None]:
    with started(path=layout.data_dir / "run" / "sandbox.sock"):
        yield


def test_a_tool_of_a_file_is_run(run: Run, write: Callable[..., str], sandbox: None, tmp_path: Path) -> None:
    file = write("tested")
    code, out, err = run("tools", "test", file, "--tool", "shorten_tested", "text=abcdef")
    assert code == 0, err
    assert out.splitlines()[:2] == ["shortening", "abc"]
    assert out.splitlines()[2].startswith("shorten_tested: success, ")
    code, out, err = run("tools", "test", file, "--args", '{"code": 5}', "--json")
    assert code == 1
    told = json.loads(out)
    assert told["status"] == "error" and "ValueError: code 5" in told["tool_return"] and told["seconds"] >= 0
    plain = tmp_path / "plain.py"
    plain.write_text("import os\ndef secret():\n    return os.environ['APPLY_KEY'][:6]\n")
    code, out, err = run("tools", "test", str(plain), "--secret", "APPLY_KEY")
    assert code == 0, err
    code, _, err = run("tools", "test", file, "--tool", "gone")
    assert (code, "it defines: shorten_tested, fail_tested" in err) == (1, True)
    assert "UNSET_KEY is not set" in run("tools", "test", file, "--secret", "UNSET_KEY")[2]
