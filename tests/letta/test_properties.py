"""Whatever our schema allows to be asked is answered as the schema says, and never by a server error.

Each operation is tried with data that fits the schema and with data that does not, as a test of its own.
"""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
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
# Per operation and kind of data; some bodies take a second to draw.
_EXAMPLES = 3

# Seconds for one operation, whatever the machine is doing besides.
pytestmark = pytest.mark.timeout(40)


@pytest.fixture(autouse=True)
def nothing_stays_in_the_way(platform: Platform) -> Iterator[None]:
    """A budget that was drawn would stop the runs of other tests, a policy their tool calls."""
    yield
    with httpx.Client(base_url=platform.url, timeout=30) as client:
        for what in ("budgets", "policies"):
            for each in client.get(f"/v1/{what}/").json():
                client.delete(f"/v1/{what}/{each['id']}")


_schema: Any = schemathesis.openapi.from_dict(create_app(Settings()).openapi())
OPERATIONS: list[Any] = [found.ok() for found in _schema.get_all_operations()]


def _can_be_asked_wrongly(operation: Any) -> bool:
    """Nearly any string may be a run's id: what is none is hardly ever drawn."""
    strict = [each for each in operation.path_parameters if each.name != "run_id"]
    return any((strict, operation.query, operation.headers, operation.body))


CASES = [
    pytest.param(operation, mode, id=f"{operation.label} {mode.value}")
    for operation in OPERATIONS
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    if mode is GenerationMode.POSITIVE or _can_be_asked_wrongly(operation)
]


@pytest.fixture(scope="session")
def real(platform: Platform) -> dict[str, str]:
    """Ids of what exists, so that not every answer is a 404."""
    with httpx.Client(base_url=platform.url, timeout=30) as client:
        body: dict[str, Any] = {"memory_blocks": [{"label": "human", "value": ""}]}
        agent_id = client.post("/v1/agents/", json=body).json()["id"]
        said = client.post(f"/v1/agents/{agent_id}/messages", json={"input": "Hello"}).json()["messages"][0]
    return {"agent_id": agent_id, "conversation_id": agent_id, "run_id": said["run_id"], "step_id": said["step_id"]}


@pytest.mark.parametrize(("operation", "mode"), CASES)
def test_operation(operation: Any, mode: GenerationMode, platform: Platform, real: dict[str, str]) -> None:
    keep = operation.method.upper() == "DELETE"

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=_EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def answered(case: schemathesis.Case[Any]) -> None:
        for name in () if keep else set(real) & set(case.path_parameters):
            given_id = str(case.path_parameters[name])
            if mode is GenerationMode.POSITIVE or (name == "agent_id" and re.fullmatch(pattern("agent"), given_id)):
                case.path_parameters[name] = real[name]
        response = case.call(base_url=platform.url, timeout=20)
        case.validate_response(response, checks=_CHECKS)

    answered()
