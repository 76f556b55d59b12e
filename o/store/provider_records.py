"""Rows about providers as frozen values: those an organisation brought, aliases, spend and budgets."""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from o.domain.budget import Period
from o.domain.json import JsonObject


@dataclass(frozen=True, slots=True)
class ProviderRecord:
    """A row of `providers`; `api_key` is ciphertext."""

    id: str
    org_id: str
    name: str
    provider_type: str
    base_url: str | None
    api_key: str | None = field(repr=False)
    key_hint: str | None
    requests_per_minute: int | None
    tokens_per_minute: int | None
    models: JsonObject
    draft: bool
    last_checked_at: datetime | None
    last_error: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class AliasRecord:
    """A row of `model_aliases`."""

    org_id: str
    handle: str
    targets: list[str]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class SpendRecord:
    """What model requests used, summed; what the sum does not tell apart is None.

    Attributes:
        unpriced_requests: those of `requests` whose price nobody knows; `cost_usd` is without them, None if all are.
    """

    day: date | None
    agent_id: str | None
    model: str | None
    requests: int
    unpriced_requests: int
    prompt_tokens: int
    completion_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class BudgetRecord:
    """A row of `budgets`."""

    id: str
    org_id: str
    agent_id: str | None
    period: Period
    max_tokens: int | None
    max_cost_usd: Decimal | None
    created_at: datetime
