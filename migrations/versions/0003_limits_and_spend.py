"""Shared rate limits of model requests, what agents spend, and budgets."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

OWNED = ("spend", "budgets")

# Buckets are shared by organisations, so these tables have row-level security without a policy and no grant: only the
# functions below, which run as their owner, reach them.
SHARED = ("model_grants", "model_waits")

# The window slides: nothing older than `span` seconds counts. One bucket takes one request at a time (advisory lock),
# and looks at the clock only when it is its turn.
#
# Who goes next: requests stand in line by what their agent would have of the bucket just before them, as its share of
# the scarcer of requests and tokens, then by how long they have waited. Room is kept for all who are ahead. Serving the
# smallest dominant share first is the progressive filling of Ghodsi et al., "Dominant Resource Fairness" (NSDI 2011),
# section 4.1; with one limit it is max-min fairness.
TAKE = """
CREATE FUNCTION o_take_grant(for_bucket text, for_agent text, for_request text, estimate bigint, rpm bigint, tpm bigint,
                             span double precision, spread double precision)
RETURNS TABLE (grant_id text, seconds double precision)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  wide constant interval := make_interval(secs => span);
  need constant bigint := least(estimate, tpm);  -- more than fits a window runs alone in one
  moment timestamptz;
  used_requests bigint;
  used_tokens bigint;
  ahead_requests bigint := 0;
  ahead_tokens bigint := 0;
  ahead_until timestamptz;
  lacking_requests bigint;
  lacking_tokens bigint;
  oldest timestamptz;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended(for_bucket, 0));
  moment := clock_timestamp();
  DELETE FROM model_grants WHERE id IN (
    SELECT g.id FROM model_grants g WHERE g.granted_at <= moment - wide
    ORDER BY g.granted_at LIMIT 100 FOR UPDATE SKIP LOCKED);
  DELETE FROM model_waits w
  WHERE w.bucket = for_bucket AND w.request_id <> for_request AND w.back_by < moment;

  SELECT count(*), coalesce(sum(g.tokens), 0) INTO used_requests, used_tokens
  FROM model_grants g WHERE g.bucket = for_bucket AND g.granted_at > moment - wide;

  IF EXISTS (SELECT FROM model_waits w WHERE w.bucket = for_bucket AND w.request_id <> for_request) THEN
    WITH used AS (
      SELECT g.agent_id, count(*) AS requests, sum(g.tokens) AS tokens
      FROM model_grants g WHERE g.bucket = for_bucket AND g.granted_at > moment - wide GROUP BY g.agent_id
    ), line AS (
      SELECT w.agent_id, w.request_id, w.tokens, w.since, w.back_by
      FROM model_waits w WHERE w.bucket = for_bucket AND w.request_id <> for_request
      UNION ALL
      SELECT for_agent, for_request, need, coalesce(min(w.since), moment), NULL
      FROM model_waits w WHERE w.bucket = for_bucket AND w.request_id = for_request
    ), placed AS (
      SELECT line.*, greatest(
        (coalesce(used.requests, 0) + row_number() OVER own - 1)::double precision / rpm,
        (coalesce(used.tokens, 0) + coalesce(
          sum(line.tokens) OVER (own ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0))::double precision / tpm
        ) AS share
      FROM line LEFT JOIN used ON used.agent_id = line.agent_id
      WINDOW own AS (PARTITION BY line.agent_id ORDER BY line.since, line.request_id)
    )
    SELECT count(*), coalesce(sum(other.tokens), 0), max(other.back_by)
    INTO ahead_requests, ahead_tokens, ahead_until
    FROM placed me JOIN placed other
      ON (other.share, other.since, other.request_id) < (me.share, me.since, me.request_id)
    WHERE me.request_id = for_request;
  END IF;

  lacking_requests := coalesce(used_requests + ahead_requests + 1 - rpm, 0);
  lacking_tokens := coalesce(used_tokens + ahead_tokens + need - tpm, 0);
  IF lacking_requests <= 0 AND lacking_tokens <= 0 THEN
    DELETE FROM model_waits w WHERE w.bucket = for_bucket AND w.request_id = for_request;
    INSERT INTO model_grants AS g (bucket, agent_id, tokens, granted_at)
    VALUES (for_bucket, for_agent, estimate, moment) RETURNING g.id INTO grant_id;
    RETURN NEXT;
    RETURN;
  END IF;

  seconds := 0;
  IF lacking_requests > 0 THEN
    SELECT g.granted_at INTO oldest FROM model_grants g
    WHERE g.bucket = for_bucket AND g.granted_at > moment - wide
    ORDER BY g.granted_at OFFSET lacking_requests - 1 LIMIT 1;
    seconds := coalesce(extract(epoch FROM oldest + wide - moment), span);
  END IF;
  IF lacking_tokens > 0 THEN
    SELECT freeing.granted_at INTO oldest FROM (
      SELECT g.granted_at, sum(g.tokens) OVER (ORDER BY g.granted_at, g.id) AS freed
      FROM model_grants g WHERE g.bucket = for_bucket AND g.granted_at > moment - wide
    ) freeing WHERE freeing.freed >= lacking_tokens ORDER BY freeing.granted_at LIMIT 1;
    -- Estimates are high and are settled downwards: room may come sooner than the window says.
    seconds := greatest(seconds, least(coalesce(extract(epoch FROM oldest + wide - moment), span), span / 6));
  END IF;
  IF coalesce(used_requests < rpm, true) AND coalesce(used_tokens + need <= tpm, true) THEN
    -- There is room, kept for those ahead: they take it or lose their places until then.
    seconds := least(seconds, extract(epoch FROM ahead_until - moment));
  END IF;
  seconds := seconds + spread * span / 60;
  INSERT INTO model_waits AS w (bucket, request_id, agent_id, tokens, since, back_by)
  VALUES (for_bucket, for_request, for_agent, need, moment, moment + make_interval(secs => seconds) + wide / 12)
  ON CONFLICT (bucket, request_id) DO UPDATE SET tokens = excluded.tokens, back_by = excluded.back_by;
  RETURN NEXT;
END
$$
"""

SETTLE = """
CREATE FUNCTION o_settle_grant(settled text, used bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  UPDATE model_grants SET tokens = used WHERE id = settled
$$
"""

# A request that is served elsewhere leaves the line.
LEAVE = """
CREATE FUNCTION o_leave_line(of_bucket text, by_request text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  DELETE FROM model_waits WHERE bucket = of_bucket AND request_id = by_request
$$
"""

FUNCTIONS = {
    "o_take_grant(text, text, text, bigint, bigint, bigint, double precision, double precision)": TAKE,
    "o_settle_grant(text, bigint)": SETTLE,
    "o_leave_line(text, text)": LEAVE,
}


def upgrade() -> None:
    op.add_column(
        "steps", sa.Column("cache_write_tokens", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
    )
    op.add_column("steps", sa.Column("cost_usd", sa.Numeric(), nullable=True))
    op.add_column("steps", sa.Column("tries", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    _make_shared()
    _make_owned()
    for table in (*SHARED, *OWNED):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    for table in OWNED:
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO o_app")
        op.execute(f"CREATE POLICY of_organization ON {table} USING (org_id = current_setting('o.org_id', true))")
    for name, function in FUNCTIONS.items():
        op.execute(function)
        op.execute(f"REVOKE ALL ON FUNCTION {name} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {name} TO o_app")


def _make_shared() -> None:
    op.create_table(
        "model_grants",
        sa.Column("id", sa.Text(), server_default=sa.text("gen_random_uuid()::text"), nullable=False),
        sa.Column("bucket", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_grants")),
        prefixes=["UNLOGGED"],
    )
    op.create_index(op.f("ix_model_grants_bucket_granted_at"), "model_grants", ["bucket", "granted_at"], unique=False)
    op.create_index(op.f("ix_model_grants_granted_at"), "model_grants", ["granted_at"], unique=False)
    op.create_table(
        "model_waits",
        sa.Column("bucket", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("back_by", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "request_id", name=op.f("pk_model_waits")),
        prefixes=["UNLOGGED"],
    )


def _make_owned() -> None:
    op.create_table(
        "spend",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("requests", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("unpriced_requests", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("cached_input_tokens", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("cache_write_tokens", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("reasoning_tokens", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("cost_usd", sa.Numeric(), nullable=True),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_spend_org_id_organizations"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("org_id", "agent_id", "day", "model", name=op.f("pk_spend")),
    )
    op.create_index(op.f("ix_spend_org_id_day"), "spend", ["org_id", "day"], unique=False)
    op.create_table(
        "budgets",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=True),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("max_tokens", sa.BigInteger(), nullable=True),
        sa.Column("max_cost_usd", sa.Numeric(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name=op.f("fk_budgets_agent_id_agents"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_budgets_org_id_organizations"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_budgets")),
    )
    op.create_index(
        "uq_budgets_org_id_agent_id_period",
        "budgets",
        ["org_id", "agent_id", "period"],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )
    op.create_index(op.f("ix_budgets_agent_id"), "budgets", ["agent_id"], unique=False)


def downgrade() -> None:
    for name in FUNCTIONS:
        op.execute(f"DROP FUNCTION {name}")
    for table in (*OWNED, *SHARED):
        op.drop_table(table)
    for column in ("tries", "cost_usd", "cache_write_tokens"):
        op.drop_column("steps", column)
