"""What model requests may use and did: grants under a rate limit, spend by day, budgets."""

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import Column, Date, Index, Numeric, Text, text
from sqlmodel import Field

from o.store.base import Owned, Table, count, instant, key, refers, words


class ModelGrant(Table, table=True):
    """A model request that a rate limit let through. A bucket (a provider and a key's fingerprint) may serve several
    organisations: only the functions of the migrations reach this table. Unlogged: nobody misses it after a crash.
    """

    __tablename__ = "model_grants"
    __table_args__ = (Index(None, "bucket", "granted_at"), Index(None, "granted_at"), {"prefixes": ["UNLOGGED"]})

    id: str = Field(sa_column=Column(Text, primary_key=True, server_default=text("gen_random_uuid()::text")))
    bucket: str = words()
    agent_id: str = words()
    tokens: int = count(None)
    granted_at: datetime = instant()


class ModelWait(Table, table=True):
    """A model request that waits for room under a rate limit; it has lost its place `back_by`. As `model_grants`."""

    __tablename__ = "model_waits"
    __table_args__ = ({"prefixes": ["UNLOGGED"]},)

    bucket: str = key()
    request_id: str = key()
    agent_id: str = words()
    tokens: int = count(None)
    since: datetime = instant()
    back_by: datetime = instant()


class SpendRow(Owned, table=True):
    """What one agent used of one model on one day (UTC). It outlives the agent: the money is spent.

    `cost_usd` sums the requests whose price is known, null if there is none; `unpriced_requests` counts the others.
    """

    __tablename__ = "spend"
    __table_args__ = (Index(None, "org_id", "day"),)

    org_id: str = refers("organizations.id", primary_key=True)
    agent_id: str = key()
    day: date = Field(sa_column=Column(Date, primary_key=True))
    model: str = key()
    requests: int = count()
    unpriced_requests: int = count()
    prompt_tokens: int = count()
    completion_tokens: int = count()
    cached_input_tokens: int = count()
    cache_write_tokens: int = count()
    reasoning_tokens: int = count()
    cost_usd: Decimal | None = Field(sa_column=Column(Numeric, nullable=True))


class BudgetRow(Owned, table=True):
    """A limit on the spend of an agent, or of the whole organisation, per run or per day."""

    __tablename__ = "budgets"
    __table_args__ = (
        Index(
            "uq_budgets_org_id_agent_id_period",
            "org_id",
            "agent_id",
            "period",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
        Index(None, "agent_id"),
    )

    id: str = key()
    agent_id: str | None = refers("agents.id", nullable=True)
    period: str = words()
    max_tokens: int | None = count(None, nullable=True)
    max_cost_usd: Decimal | None = Field(sa_column=Column(Numeric, nullable=True))
    created_at: datetime = instant(now=True)
