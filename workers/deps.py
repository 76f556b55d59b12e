"""The composition root of a worker: settings become the store, the providers, the tools and the engine's client."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from activities.base_tools import NATIVE_TOOLS
from activities.registry import Deps
from activities.tools import NativeTool
from o.contracts.turn import Timing
from o.errors import Unavailable
from o.guard.policy import Guard, parse_allowed
from o.keyring import Keyring
from o.settings import Settings
from o.store.session import Store
from o.temporal import connect
from workers.vendors import providers_from
from workers.workshop import open_workshop


def timing_from(settings: Settings) -> Timing:
    return Timing(
        heartbeat=settings.heartbeat_timeout,
        model=settings.model_timeout,
        tool=settings.tool_timeout,
        patience=settings.model_patience,
    )


@asynccontextmanager
async def open_deps(settings: Settings, tools: Mapping[str, NativeTool] | None = None) -> AsyncIterator[Deps]:
    """Everything a worker's activities need, closed again at the end.

    Args:
        tools: further tools in O's own code, or others in the place of those it has.

    Raises:
        Unavailable: Temporal does not answer, or an address is not configured.
    """
    if settings.database_url is None:
        raise Unavailable("O_DATABASE_URL is not set: name the database, or let `o up` bring its own")
    client = await connect(settings.temporal, settings.temporal_namespace)
    providers = providers_from(settings)
    keyring = Keyring.load(settings.key_file)
    guard = Guard(parse_allowed(settings.allowed_hosts))
    store = Store(settings.database_url, size=settings.database_pool, approval_ttl=settings.approval_ttl)
    async with store, open_workshop(settings, guard, keyring, store.now) as workshop:
        try:
            yield Deps(
                store=store,
                client=client,
                providers=providers,
                keyring=keyring,
                tools={**NATIVE_TOOLS, **workshop.tools, **(tools or {})},
                timing=timing_from(settings),
                stale_after=settings.reconcile_every,
                event_retention=settings.event_retention,
                custom=workshop.custom,
                dialer=workshop.dialer,
            )
        finally:
            await providers.close()
