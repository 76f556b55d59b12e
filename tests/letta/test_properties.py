"""Whatever our schema allows to be asked is answered as the schema says, and never by a server error."""

import re
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from api.app import create_app
from o.ids import pattern
from o.settings import Settings
from tests.support.servers import Platform

_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
# Per operation. Most of the time goes into compiling the schemas, not into examples.
_EXAMPLES = 3


@pytest.fixture(scope="session")
def real_agent(platform: Platform) -> str:
    """An agent that exists, so that not every answer is a 404."""
    answer = httpx.post(f"{platform.url}/v1/agents/", json={"memory_blocks": [{"label": "human", "value": ""}]})
    return str(answer.json()["id"])


# Two routes are left out that take the same large body as `send_message`: drawing it is what costs time here.
schema = schemathesis.openapi.from_dict(create_app(Settings()).openapi()).exclude(
    operation_id=["create_agent_message_stream", "send_conversation_message"]
)


@schema.parametrize()
@settings(
    max_examples=_EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_operation(case: schemathesis.Case[Any], platform: Platform, real_agent: str) -> None:
    named = str(case.path_parameters.get("agent_id", ""))
    if case.method != "DELETE" and re.fullmatch(pattern("agent"), named):
        case.path_parameters["agent_id"] = real_agent
    response = case.call(base_url=platform.url, timeout=20)
    case.validate_response(response, checks=_CHECKS)
