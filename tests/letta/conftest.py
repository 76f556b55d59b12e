"""Letta's own client, unchanged, against real processes."""

from collections.abc import Iterator

import pytest
from letta_client import Letta

from tests.support.servers import Platform


@pytest.fixture
def letta(platform: Platform) -> Iterator[Letta]:
    # No silent retries: what a test sees is what the server answered.
    with Letta(base_url=platform.url, api_key="unused", max_retries=0) as client:
        yield client
