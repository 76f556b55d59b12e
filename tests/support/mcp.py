"""MCP servers as rows."""

from typing import Any

import orjson

from o import ids
from o.ids import DEFAULT_ORG
from o.keyring import Keyring
from o.store.repositories.mcp_servers import secrets_context
from o.store.session import Store


async def stored(store: Store, keyring: Keyring, url: str, name: str = "files", **secrets: Any) -> str:
    """A server's row; returns its id."""
    server_id = ids.new("mcp_server")
    sealed = keyring.encrypt(orjson.dumps(secrets).decode(), context=secrets_context(server_id)) if secrets else None
    async with store.transaction(DEFAULT_ORG) as tx:
        await tx.mcp_servers.add(
            {
                "id": server_id,
                "server_name": name,
                "server_type": "streamable_http",
                "config": {"server_url": url},
                "secrets": sealed,
            }
        )
    return server_id
