"""One executor for every combination of layers that counts as enough, shared by all attacks on it."""

import sys
from collections.abc import Iterator

import pytest

from tests.support.attacks import COMBINATIONS, Arena, arena


@pytest.fixture(scope="session", params=list(COMBINATIONS.values()), ids=list(COMBINATIONS), name="arena")
def an_arena(request: pytest.FixtureRequest) -> Iterator[Arena]:
    if sys.platform != "linux":
        pytest.skip("the sandbox needs Linux")
    with arena(request.param) as made:
        yield made


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the combinations that a module says it does not depend on (`TRIED_WITH`)."""
    left_out = [item for item in items if not _wanted(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def _wanted(item: pytest.Item) -> bool:
    tried_with = getattr(getattr(item, "module", None), "TRIED_WITH", None)
    combination = (
        item.callspec.params.get("arena") if isinstance(item, pytest.Function) and hasattr(item, "callspec") else None
    )
    return tried_with is None or combination is None or combination in [COMBINATIONS[name] for name in tried_with]
