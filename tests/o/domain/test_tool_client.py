"""Which sources get a key."""

from typing import Literal

import pytest

from o.domain.tool_client import wants_client


@pytest.mark.parametrize(
    ("source", "wants"),
    [
        ("def act(x):\n    return client.agents.list()", True),
        ("def act(x):\n    from letta_client import Letta\n    return Letta()", True),
        ("import letta_client.types", True),
        ("import os\nkey = os.environ['LETTA_API_KEY']", True),
        ("def act(x):\n    client = x.client()\n    return client.get('/')", False),
        ("def act(client):\n    return client", False),
        ("import http.client\ndef act():\n    return http.client.OK", False),
        ("def act():\n    'Of a client.'\n    return 'client'", False),
        ("from letta_clients import Letta", False),
        ("def act(:\n    client", False),
    ],
)
def test_only_a_source_that_speaks_to_o_wants_a_client(source: str, *, wants: bool) -> None:
    assert wants_client(source, "python") is wants


@pytest.mark.parametrize(("source", "wants"), [("process.env.LETTA_API_KEY", True), ("const client = 1", False)])
def test_typescript_names_the_variable(source: str, *, wants: bool) -> None:
    language: Literal["typescript"] = "typescript"
    assert wants_client(source, language) is wants
