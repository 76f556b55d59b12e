import asyncio
import os
import signal
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest

from o import temporal
from o.embedded.children import Child
from o.embedded.layout import Layout
from o.embedded.ports import free
from o.embedded.temporal import EmbeddedTemporal

pytestmark = pytest.mark.temporal


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[tuple[EmbeddedTemporal, Child]]:
    layout = Layout.of(tmp_path)
    layout.make()
    embedded = EmbeddedTemporal(layout, port=free(), ui_port=free(), namespace="default")
    child = Child(embedded.spec(), lambda _: None)
    await child.start()
    yield embedded, child
    await child.stop()


async def _retention(embedded: EmbeddedTemporal) -> timedelta:
    client = await temporal.connect(embedded.address, "default")
    told = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace="default"))
    return told.config.workflow_execution_retention_ttl.ToTimedelta()


async def test_histories_are_kept_for_a_month_also_after_a_crash(server: tuple[EmbeddedTemporal, Child]) -> None:
    embedded, child = server
    assert await _retention(embedded) == timedelta(days=30)
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    async with asyncio.timeout(20):
        while True:
            if child.pid not in (None, first):
                break
            await asyncio.sleep(0.02)
    spec = embedded.spec()
    assert spec.ready is not None
    await spec.ready()
    assert await _retention(embedded) == timedelta(days=30)
