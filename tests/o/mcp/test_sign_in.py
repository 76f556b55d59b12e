"""Sign-ins at MCP servers: from finding out where, to tokens that are refreshed."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import orjson
import pytest

from o import ids
from o.errors import McpFailure, McpSignInNeeded, McpUnreachable, NotFound
from o.guard.policy import Guard
from o.ids import DEFAULT_ORG
from o.keyring import Keyring
from o.mcp.base import Dialer
from o.mcp.line import Line
from o.mcp.sign_in import SignIns
from o.mcp.sync import Sync, Synced
from o.store.repositories.mcp_servers import sign_in_context
from o.store.session import Store
from tests.emulators import oauth_server
from tests.support.mcp import stored

BACK = "http://o.test/v1/mcp-servers/oauth/callback"


@pytest.fixture
def oauth() -> Iterator[oauth_server.Emulator]:
    with oauth_server.running() as emulator:
        yield emulator


@dataclass
class Site:
    """A store whose clock a test winds on, with a server that wants a sign-in."""

    store: Store
    keyring: Keyring
    dialer: Dialer
    server_id: str
    clock: list[datetime]

    @property
    def sign_ins(self) -> SignIns:
        return SignIns(self.store, self.dialer.guard, self.keyring)

    async def begin(self) -> tuple[str, dict[str, Any]]:
        """A sign-in whose link is known: its id and its data."""
        sign_in_id = ids.new("mcp_sign_in")
        data = self.keyring.encrypt(orjson.dumps({"redirect_uri": BACK}).decode(), context=sign_in_context(sign_in_id))
        async with self.store.transaction() as tx:
            await tx.mcp_sign_ins.add(sign_in_id, self.server_id, f"state-{sign_in_id}", data, now=tx.now())
        await self.sign_ins.begin(DEFAULT_ORG, sign_in_id)
        return sign_in_id, await self.data(sign_in_id)

    async def data(self, sign_in_id: str) -> dict[str, Any]:
        async with self.store.transaction() as tx:
            row = await tx.mcp_sign_ins.get(sign_in_id, now=tx.now())
        assert row.data is not None
        return dict(orjson.loads(self.keyring.decrypt(row.data, context=sign_in_context(sign_in_id))))

    async def come_back(self, sign_in_id: str, data: dict[str, Any], **other: str | None) -> bool:
        """What the browser brings back, put on the row."""
        async with httpx.AsyncClient() as browser:
            answer = await browser.get(data["url"])
        brought = {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}
        known = {**data, "code": brought["code"], "code_issuer": brought["iss"], **other}
        sealed = self.keyring.encrypt(orjson.dumps(known).decode(), context=sign_in_context(sign_in_id))
        async with self.store.transaction() as tx:
            return await tx.mcp_sign_ins.authorized(sign_in_id, brought["state"], sealed, now=tx.now())

    async def sync(self) -> Synced:
        line = Line(self.store, self.dialer, self.keyring)
        return await Sync(self.store, line).run(DEFAULT_ORG, self.server_id, accept=True)

    async def signed_in(self) -> None:
        sign_in_id, data = await self.begin()
        assert await self.come_back(sign_in_id, data)
        await self.sign_ins.finish(DEFAULT_ORG, sign_in_id)


@pytest.fixture
async def site(
    database_url: str, keyring: Keyring, dialer: Dialer, oauth: oauth_server.Emulator
) -> AsyncIterator[Site]:
    clock = [datetime.now(UTC)]
    async with Store(database_url, size=4, clock=lambda: clock[0]) as store:
        server_id = await stored(store, keyring, f"{oauth.url}/mcp")
        yield Site(store, keyring, dialer, server_id, clock)


async def test_a_sign_in_brings_tokens_that_open_the_server(site: Site, oauth: oauth_server.Emulator) -> None:
    with pytest.raises(McpSignInNeeded):
        await site.sync()
    sign_in_id, data = await site.begin()
    asked = parse_qs(urlsplit(data["url"]).query)
    assert asked["state"] == [f"state-{sign_in_id}"]
    assert asked["resource"] == [f"{oauth.url}/mcp"]
    assert asked["scope"] == ["tools offline_access"]
    assert data["verifier"] not in data["url"]
    assert await site.come_back(sign_in_id, data)
    assert not await site.come_back(sign_in_id, data), "an answer is taken once"
    await site.sign_ins.finish(DEFAULT_ORG, sign_in_id)
    assert (await site.sync()).added == 1
    async with site.store.transaction() as tx:
        row = await tx.mcp_sign_ins.get(sign_in_id, now=tx.now())
        server = await tx.mcp_servers.get(site.server_id)
    assert (row.status, row.data) == ("done", None)
    assert server.oauth is not None and str(oauth.mcp.token) not in server.oauth


async def test_a_token_that_runs_out_is_refreshed(site: Site, oauth: oauth_server.Emulator) -> None:
    await site.signed_in()
    await site.sync()
    site.clock[0] += timedelta(seconds=oauth.lasts)
    await site.sync()
    assert oauth.granted == 2


async def test_a_token_that_is_taken_back_is_refreshed(site: Site, oauth: oauth_server.Emulator) -> None:
    await site.signed_in()
    oauth.mcp.token = "another"
    await site.sync()
    assert oauth.granted == 2


async def test_a_sign_in_that_has_run_out_is_told_as_such(site: Site, oauth: oauth_server.Emulator) -> None:
    await site.signed_in()
    oauth.refresh.clear()
    site.clock[0] += timedelta(seconds=oauth.lasts)
    with pytest.raises(McpSignInNeeded, match="sign in again"):
        await site.sync()


async def test_the_answer_of_another_issuer_is_refused(site: Site) -> None:
    for issuer in ("https://evil.example", None):
        sign_in_id, data = await site.begin()
        assert await site.come_back(sign_in_id, data, code_issuer=issuer)
        with pytest.raises(McpFailure, match="somebody else"):
            await site.sign_ins.finish(DEFAULT_ORG, sign_in_id)
    async with site.store.transaction() as tx:
        assert (await tx.mcp_servers.get(site.server_id)).oauth is None


async def test_an_authorisation_server_of_another_name_is_refused(site: Site, oauth: oauth_server.Emulator) -> None:
    oauth.issuer = "https://evil.example"
    with pytest.raises(McpFailure, match="another one"):
        await site.begin()


async def test_a_sign_in_lasts_ten_minutes(site: Site) -> None:
    sign_in_id, data = await site.begin()
    site.clock[0] += timedelta(minutes=10)
    assert not await site.come_back(sign_in_id, data)
    with pytest.raises(NotFound):
        await site.sign_ins.finish(DEFAULT_ORG, sign_in_id)


async def test_every_request_of_a_sign_in_goes_through_the_guard(site: Site) -> None:
    site.dialer.guard = Guard()
    with pytest.raises(McpFailure, match="loopback") as failure:
        await site.begin()
    assert isinstance(failure.value, McpUnreachable)
