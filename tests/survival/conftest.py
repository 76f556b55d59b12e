"""The one platform that these tests break and mend. It is theirs alone: nobody else's servers are killed."""

from collections.abc import Iterator

import pytest

from tests.support.servers import folder
from tests.survival.site import Site, site_in


@pytest.fixture(scope="session")
def _site() -> Iterator[Site]:
    with folder() as layout, site_in(layout) as running:
        yield running


@pytest.fixture
def site(_site: Site) -> Iterator[Site]:
    """The platform with every part running; what a test left dead is started again."""
    _site.heal()
    yield _site
    _site.heal()
