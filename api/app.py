"""The HTTP application: its parts, its routes, its documentation."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from api import errors
from api.catalogue import Catalogues
from api.deps import Defaults, Gatekeeper, Parts
from api.events import RunEvents
from api.gateway import Gateway
from api.limits import Limits, Paths
from api.routes import (
    agent_memory,
    agent_tools,
    agents,
    aliases,
    approvals,
    blocks,
    budgets,
    conversations,
    health,
    mcp_endpoint,
    mcp_legacy,
    mcp_servers,
    mcp_sign_ins,
    messages,
    models,
    policies,
    providers,
    runs,
    spend,
    steps,
    tools,
)
from o.contracts.turn import Timing
from o.errors import Unavailable
from o.guard.policy import Guard, parse_allowed
from o.keyring import Keyring
from o.settings import Settings
from o.store.session import Store

_DESCRIPTION = """Durable agents behind the Letta V1 REST API: `letta-client` works unchanged.

Paths are also served under `/latest`, and with or without a trailing slash."""

_ROUTERS = (
    *(agents, messages, agent_memory, blocks, agent_tools, tools, runs, steps, conversations),
    *(models, providers, aliases, spend, budgets),
    *(approvals, policies),
    *(mcp_servers, mcp_sign_ins, mcp_legacy, mcp_endpoint),
    health,
)

_TAGS = (
    *("agents", "blocks", "tools", "conversations", "runs", "steps"),
    *("models", "providers", "aliases", "spend", "budgets"),
    "mcp-servers",
    *("approvals", "policies"),
    "health",
)

# Routes whose path ends in a slash; the client library spells them so.
_COLLECTIONS = (
    "/v1/agents/",
    "/v1/blocks/",
    "/v1/tools/",
    "/v1/runs/",
    "/v1/steps/",
    "/v1/conversations/",
    "/v1/models/",
    "/v1/providers/",
    "/v1/mcp-servers/",
    "/v1/aliases/",
    "/v1/budgets/",
    "/v1/approvals/",
    "/v1/policies/",
    "/v1/health/",
)


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application; without settings it reads the environment.

    Starting raises Unavailable when the database or the engine does not answer.
    """
    chosen = settings or Settings.load()
    app = FastAPIOffline(  # the documentation's scripts come from here, not from somebody's network
        title="O",
        version=version("o"),
        description=_DESCRIPTION,
        lifespan=lambda app: _lifespan(app, chosen),
        redirect_slashes=False,
        strict_content_type=True,
        openapi_tags=[{"name": name} for name in _TAGS],
        swagger_ui_parameters={"persistAuthorization": True},
    )
    for module in _ROUTERS:
        app.include_router(module.router)
    errors.install(app)
    app.add_middleware(Limits, max_bytes=chosen.max_body_bytes)
    app.add_middleware(Paths, collections=_COLLECTIONS)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI, settings: Settings) -> AsyncIterator[None]:
    if settings.database_url is None:
        raise Unavailable("O_DATABASE_URL is not set: name the database, or let `o up` bring its own")
    timing = Timing(
        heartbeat=settings.heartbeat_timeout,
        model=settings.model_timeout,
        tool=settings.tool_timeout,
        patience=settings.model_patience,
    )
    keyring = Keyring.load(settings.key_file)
    gateway = await Gateway.connect(settings.temporal, settings.temporal_namespace, timing)
    store = Store(settings.database_url, size=settings.database_pool, approval_ttl=settings.approval_ttl)
    async with store, RunEvents(store) as events:
        async with store.transaction() as tx:
            await tx.tools.ensure_base()
        app.state.parts = Parts(
            defaults=Defaults(model=settings.default_model, embedding=settings.default_embedding),
            store=store,
            engine=gateway,
            catalogue=Catalogues(gateway),
            events=events,
            keyring=keyring,
            gate=Gatekeeper(store, loopback=settings.loopback),
            guard=Guard(parse_allowed(settings.allowed_hosts)),
        )
        logging.getLogger(__name__).info("ready")
        yield
