"""Providers that people bring: made, listed, read, tried, changed, deleted. Keys are kept encrypted and never shown."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.deps import Asking, Caller, JsonRoute
from api.errors import documented, model_failure
from api.responses import Json
from api.routes.params import Limit, Order, Words
from api.schemas.providers import (
    Checked,
    CheckProvider,
    CreateProvider,
    Provider,
    ProviderStatus,
    UpdateProvider,
    key_hint,
    print_provider,
    print_state,
    stored_models,
)
from o import ids
from o.contracts.models import ProviderCheck
from o.domain.json import JsonObject
from o.errors import InvalidArgument, Unavailable
from o.ids import pattern
from o.keyring import KeyUnusable
from o.store.repositories.providers import ProviderFilter, key_context

router = APIRouter(prefix="/v1/providers", tags=["providers"], route_class=JsonRoute)

ProviderPath = Annotated[str, Path(pattern=pattern("provider"), description="Id of the provider.")]
ProviderCursor = Annotated[
    str | None, Query(pattern=pattern("provider"), description="Id of the provider to go on from.")
]

# What is said of a provider that is tried before it is made.
_UNNAMED = "unsaved"


@router.get("/", operation_id="list_providers", response_model=list[Provider], responses=documented(404))
async def list_providers(
    caller: Asking,
    name: Words = None,
    provider_type: Words = None,
    before: ProviderCursor = None,
    after: ProviderCursor = None,
    limit: Limit = 50,
    order: Order = "desc",
) -> Json:
    """The providers the organisation brought; those of the server's environment are not among them."""
    what = ProviderFilter(name, provider_type, after, before, limit, order)
    async with caller.transaction() as tx:
        return Json([print_provider(record) for record in await tx.providers.list(what)])


@router.get("/status", operation_id="list_provider_states", response_model=list[ProviderStatus], responses=documented())
async def list_provider_states(caller: Asking) -> Json:
    """How every provider is, those of the server's environment too: what it has, or why it says nothing."""
    return Json([print_state(state) for state in (await caller.catalogue.all()).providers])


@router.post("/", operation_id="create_provider", response_model=Provider, responses=documented(409))
async def create_provider(body: CreateProvider, caller: Asking) -> Json:
    """Make a provider; its models can be used at once. One of the environment of the same name is hidden by it."""
    provider_id = ids.new("provider")
    values = {
        "name": body.name,
        "requests_per_minute": body.requests_per_minute,
        "tokens_per_minute": body.tokens_per_minute,
        "models": stored_models(body.models),
    }
    async with caller.transaction() as tx:
        made = await tx.providers.add(_access(caller, provider_id, body) | values)
    caller.parts.catalogue.forget(caller.org_id)
    return Json(print_provider(made))


@router.post("/check", operation_id="check_provider", response_model=Checked, responses=documented(402, 429))
async def check_provider(body: CheckProvider, caller: Asking) -> Json:
    """Try a key and an address without keeping them. A provider that cannot be used is a 4xx that says why."""
    if body.api_key is None and body.base_url is None:
        raise InvalidArgument("api_key: give a key, a base_url or both to be tried")
    # The worker reads the key from a row: it must travel through no workflow, not even encrypted.
    draft_id = ids.new("provider")
    async with caller.transaction() as tx:
        await tx.providers.add_draft(_access(caller, draft_id, body) | {"name": _UNNAMED}, now=tx.now())
    try:
        outcome = await caller.parts.engine.check_provider(caller.org_id, draft_id)
    finally:
        async with caller.transaction() as tx:
            await tx.providers.delete(draft_id)
    return _told(outcome, body.provider_type)


@router.get("/{provider_id}", operation_id="retrieve_provider", response_model=Provider, responses=documented(404))
async def retrieve_provider(provider_id: ProviderPath, caller: Asking) -> Json:
    """One provider."""
    async with caller.transaction() as tx:
        return Json(print_provider(await tx.providers.get(provider_id)))


@router.patch("/{provider_id}", operation_id="modify_provider", response_model=Provider, responses=documented(404))
async def modify_provider(provider_id: ProviderPath, body: UpdateProvider, caller: Asking) -> Json:
    """Change a provider, or rotate its key: the next model request uses the new one."""
    given = body.model_fields_set
    changes: JsonObject = body.model_dump(include=given & {"requests_per_minute", "tokens_per_minute"})
    if "models" in given:
        changes["models"] = stored_models(body.models or {})
    async with caller.transaction() as tx:
        before = await tx.providers.lock(provider_id)
        if "base_url" in given and (base_url := _checked_url(caller, body.base_url)) != before.base_url:
            if before.api_key is not None and "api_key" not in given:
                # Else whoever may change a provider could read its key off a server of theirs.
                raise InvalidArgument("base_url: a stored key is sent to no other address; give api_key again with it")
            changes["base_url"] = base_url
        if "api_key" in given:
            changes |= _sealed(caller, provider_id, body.api_key.get_secret_value() if body.api_key else None)
        if changes.keys() & {"base_url", "api_key"}:
            changes |= {"last_checked_at": None, "last_error": None}
        changed = await tx.providers.update(provider_id, changes)
    caller.parts.catalogue.forget(caller.org_id)
    return Json(print_provider(changed))


@router.delete("/{provider_id}", operation_id="delete_provider", responses=documented(404))
async def delete_provider(provider_id: ProviderPath, caller: Asking) -> Json:
    """Delete a provider and its key. Agents that name its models fail until another of its name is there."""
    async with caller.transaction() as tx:
        await tx.providers.get(provider_id)
        await tx.providers.delete(provider_id)
    caller.parts.catalogue.forget(caller.org_id)
    return Json({"message": f"Provider id={provider_id} successfully deleted"})


@router.post(
    "/{provider_id}/check",
    operation_id="check_existing_provider",
    response_model=Checked,
    responses=documented(402, 404, 429),
)
async def check_existing_provider(provider_id: ProviderPath, caller: Asking) -> Json:
    """Ask a provider with its key what it has. One that cannot be used is a 4xx that says why."""
    async with caller.transaction() as tx:
        record = await tx.providers.get(provider_id)
    outcome = await caller.parts.engine.check_provider(caller.org_id, provider_id)
    async with caller.transaction() as tx:
        await tx.providers.checked(provider_id, outcome.message, at=tx.now())
    return _told(outcome, record.provider_type)


@router.patch(
    "/{provider_id}/refresh", operation_id="refresh_provider", response_model=Provider, responses=documented(404)
)
async def refresh_provider(provider_id: ProviderPath, caller: Asking) -> Json:
    """Ask the providers anew which models they have, instead of believing for a minute what they said last."""
    async with caller.transaction() as tx:
        record = await tx.providers.get(provider_id)
    await caller.catalogue.all(fresh=True)
    return Json(print_provider(record))


def _access(caller: Caller, provider_id: str, body: CheckProvider) -> JsonObject:
    """The columns that say how a provider is reached. Raises InvalidArgument (an address that is not allowed)."""
    key = body.api_key.get_secret_value() if body.api_key else None
    return {
        "id": provider_id,
        "provider_type": body.provider_type,
        "base_url": _checked_url(caller, body.base_url),
        **_sealed(caller, provider_id, key),
    }


def _checked_url(caller: Caller, url: str | None) -> str | None:
    if url is None:
        return None
    try:
        caller.parts.guard.check(url)
    except InvalidArgument as error:
        raise InvalidArgument(f"base_url: {error.message}") from None
    return url.rstrip("/")


def _sealed(caller: Caller, provider_id: str, key: str | None) -> JsonObject:
    if key is None:
        return {"api_key": None, "key_hint": None}
    return {
        "api_key": caller.parts.keyring.encrypt(key, context=key_context(provider_id)),
        "key_hint": key_hint(key),
    }


def _told(outcome: ProviderCheck, provider_type: str) -> Json:
    """How a provider answered.

    Its own 5xx are none of ours: nobody should ask again by himself what was refused. Nor is its 404: that would say
    that there is no such provider.
    """
    if outcome.ok:
        return Json({"message": f"Valid api key for provider_type={provider_type}", "models": outcome.models})
    message = outcome.message or "the provider cannot be used"
    if outcome.code == KeyUnusable.code:
        raise Unavailable(message)
    refusal = model_failure(outcome.code or "llm_error", message)
    if refusal.status_code >= 500 or refusal.status_code == 404:
        refusal.status_code = 400
    return refusal
