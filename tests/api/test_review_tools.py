"""Bad and unusual input at the borders of the tools API."""

import httpx
import psycopg
import pytest

from o.ids import DEFAULT_ORG
from tests.api.conftest import made


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/tools/?names=%00"),
        ("GET", "/v1/tools/?tool_ids=%00"),
        ("GET", "/v1/tools/?name=a%00b"),
        ("GET", "/v1/tools/?search=%00"),
        ("GET", "/v1/tools/?after=%00"),
        ("GET", "/v1/tools/count?names=%00"),
        ("POST", "/v1/agents/{agent}/tools/%00/run"),
        ("PATCH", "/v1/agents/{agent}/tools/approval/%00"),
    ],
)
async def test_a_nul_is_refused_in_plain_words(http: httpx.AsyncClient, method: str, path: str) -> None:
    agent = await made(http)
    body = {"requires_approval": True} if method == "PATCH" else {}
    answer = await http.request(method, path.format(agent=agent), json=body if method != "GET" else None)
    assert answer.status_code in (400, 404, 422), answer.text


async def test_policies_are_limited_in_number_and_length(http: httpx.AsyncClient, shared_database: str) -> None:
    """Each step reads all that concern its agent."""
    long = await http.post("/v1/policies/", json={"action": "ask", "reason": "x" * 2001})
    assert long.status_code == 422
    with psycopg.connect(shared_database) as owner:
        owner.execute(
            "INSERT INTO tool_policies (id, org_id, action) SELECT 'policy-' || n, %s, 'ask' "
            "FROM generate_series(1, 500) n",
            [DEFAULT_ORG],
        )
    refused = await http.post("/v1/policies/", json={"action": "ask"})
    assert refused.status_code == 400 and "remove one" in refused.text
