"""The foundation: tenancy, agents, memory blocks, conversations, runs, steps, events, tools; row-level security."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from o.ids import DEFAULT_ORG, DEFAULT_USER

revision = "0001"
down_revision = None

OWNED = (
    "users",
    "api_keys",
    "agents",
    "agent_secrets",
    "agents_tools",
    "agents_blocks",
    "blocks",
    "block_versions",
    "tools",
    "conversations",
    "messages",
    "approvals",
    "runs",
    "steps",
    "tool_calls",
    "run_events",
)

# What must look across organisations does so in these functions only: they run as the owner of the tables, whom
# row-level security does not bind.
FUNCTIONS = (
    """
    CREATE FUNCTION o_key_owner(key_hash text) RETURNS text LANGUAGE sql SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
      UPDATE api_keys SET last_used_at = now() WHERE hash = key_hash AND revoked_at IS NULL
        AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute');
      SELECT org_id FROM api_keys WHERE hash = key_hash AND revoked_at IS NULL
    $$
    """,
    """
    CREATE FUNCTION o_any_key() RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
      SELECT EXISTS (SELECT 1 FROM api_keys WHERE revoked_at IS NULL)
    $$
    """,
    """
    CREATE FUNCTION o_stalled_runs(older_than double precision, most integer)
    RETURNS TABLE (org_id text, agent_id text, conversation_id text, run_id text, step_index bigint,
                   cancelled boolean, touched_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
      SELECT r.org_id, r.agent_id, r.conversation_id, r.id, r.step_index, r.cancel_requested_at IS NOT NULL,
             r.touched_at
      FROM conversations c JOIN runs r ON r.id = c.active_run_id
      WHERE r.completed_at IS NULL AND r.touched_at < now() - make_interval(secs => older_than)
      ORDER BY r.touched_at LIMIT most
    $$
    """,
    """
    CREATE FUNCTION o_idle_queues(most integer) RETURNS TABLE (org_id text, conversation_id text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
      SELECT DISTINCT r.org_id, r.conversation_id
      FROM runs r JOIN conversations c ON c.id = r.conversation_id
      WHERE r.status = 'created' AND r.started_at IS NULL
        AND (c.active_run_id IS NULL
             OR EXISTS (SELECT 1 FROM runs a WHERE a.id = c.active_run_id AND a.completed_at IS NOT NULL)
             OR NOT EXISTS (SELECT 1 FROM runs a WHERE a.id = c.active_run_id))
        AND NOT EXISTS (SELECT 1 FROM approvals p WHERE p.conversation_id = c.id AND p.status = 'pending')
      LIMIT most
    $$
    """,
    """
    CREATE FUNCTION o_expired_approvals(most integer) RETURNS SETOF approvals
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
      SELECT * FROM approvals WHERE status = 'pending' AND expires_at <= now() ORDER BY expires_at LIMIT most
    $$
    """,
    """
    CREATE FUNCTION o_prune_events(older_than double precision) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
      WITH gone AS (
        DELETE FROM run_events WHERE (run_id, seq) IN (
          SELECT e.run_id, e.seq FROM run_events e JOIN runs r ON r.id = e.run_id
          WHERE e.created_at < now() - make_interval(secs => older_than)
            AND r.completed_at < now() - make_interval(secs => older_than)
          LIMIT 10000)
        RETURNING 1)
      SELECT count(*) FROM gone
    $$
    """,
)
FUNCTION_NAMES = (
    "o_key_owner(text)",
    "o_any_key()",
    "o_stalled_runs(double precision, integer)",
    "o_idle_queues(integer)",
    "o_expired_approvals(integer)",
    "o_prune_events(double precision)",
)


def upgrade() -> None:
    _make_role()
    op.execute("CREATE SEQUENCE message_seq")
    _make_tables()
    _secure()
    op.execute(sa.text("INSERT INTO organizations (id, name) VALUES (:org, 'default')").bindparams(org=DEFAULT_ORG))
    op.execute(
        sa.text("INSERT INTO users (id, org_id, name) VALUES (:id, :org, 'default')").bindparams(
            id=DEFAULT_USER, org=DEFAULT_ORG
        )
    )


def _make_role() -> None:
    """The role every connection takes on. It belongs to the server, not to one database: it may exist already."""
    op.execute(
        """
        DO $$ BEGIN
          IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'o_app') THEN
            BEGIN CREATE ROLE o_app NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END;
          END IF;
          IF NOT pg_has_role(current_user, 'o_app', 'MEMBER') THEN
            EXECUTE format('GRANT o_app TO %I', current_user);
          END IF;
        END $$
        """
    )


def _secure() -> None:
    op.execute("GRANT USAGE ON SCHEMA public TO o_app")
    op.execute("GRANT SELECT ON organizations, users, alembic_version TO o_app")
    op.execute("GRANT USAGE, SELECT ON SEQUENCE message_seq TO o_app")
    for table in OWNED:
        if table == "block_versions":
            op.execute("GRANT SELECT, INSERT ON block_versions TO o_app")  # append-only, for everybody
        elif table != "users":
            op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO o_app")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY of_organization ON {table} USING (org_id = current_setting('o.org_id', true))")
    op.execute("ALTER TABLE organizations ENABLE ROW LEVEL SECURITY")
    op.execute("CREATE POLICY of_organization ON organizations USING (id = current_setting('o.org_id', true))")
    for function in FUNCTIONS:
        op.execute(function)
    for name in FUNCTION_NAMES:
        op.execute(f"REVOKE ALL ON FUNCTION {name} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {name} TO o_app")


def _make_tables() -> None:
    op.create_table(
        "organizations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organizations")),
    )
    op.create_table(
        "agents",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("agent_type", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("embedding", sa.Text(), nullable=True),
        sa.Column("llm_config", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("embedding_config", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("compaction_settings", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("response_format", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("tool_rules", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("tags", postgresql.ARRAY(sa.String()), server_default="{}", nullable=False),
        sa.Column("metadata_", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("timezone", sa.Text(), server_default="UTC", nullable=False),
        sa.Column("hidden", sa.Boolean(), nullable=True),
        sa.Column("message_buffer_autoclear", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("enable_sleeptime", sa.Boolean(), nullable=True),
        sa.Column("max_files_open", sa.BigInteger(), server_default=sa.text("5"), nullable=False),
        sa.Column("per_file_view_window_char_limit", sa.BigInteger(), server_default=sa.text("50000"), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=True),
        sa.Column("created_by_id", sa.Text(), nullable=True),
        sa.Column("last_updated_by_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_run_completion", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_run_duration_ms", sa.BigInteger(), nullable=True),
        sa.Column("last_stop_reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_agents_org_id_organizations"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agents")),
    )
    op.create_index(op.f("ix_agents_org_id_created_at_id"), "agents", ["org_id", "created_at", "id"], unique=False)
    op.create_index(
        op.f("ix_agents_org_id_last_run_completion_id"), "agents", ["org_id", "last_run_completion", "id"], unique=False
    )
    op.create_index(op.f("ix_agents_org_id_name"), "agents", ["org_id", "name"], unique=False)
    op.create_index(op.f("ix_agents_org_id_updated_at_id"), "agents", ["org_id", "updated_at", "id"], unique=False)
    op.create_index(op.f("ix_agents_tags"), "agents", ["tags"], unique=False, postgresql_using="gin")
    op.create_table(
        "api_keys",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_api_keys_org_id_organizations"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
    )
    op.create_index(op.f("ix_api_keys_hash"), "api_keys", ["hash"], unique=True)
    op.create_index(op.f("ix_api_keys_org_id"), "api_keys", ["org_id"], unique=False)
    op.create_table(
        "blocks",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), server_default="", nullable=False),
        sa.Column("limit", sa.BigInteger(), server_default=sa.text("100000"), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("read_only", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("metadata_", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("tags", postgresql.ARRAY(sa.String()), server_default="{}", nullable=False),
        sa.Column("is_template", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("template_name", sa.Text(), nullable=True),
        sa.Column("hidden", sa.Boolean(), nullable=True),
        sa.Column("project_id", sa.Text(), nullable=True),
        sa.Column("preserve_on_migration", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_by_id", sa.Text(), nullable=True),
        sa.Column("last_updated_by_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_blocks_org_id_organizations"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_blocks")),
    )
    op.create_index(op.f("ix_blocks_org_id_created_at_id"), "blocks", ["org_id", "created_at", "id"], unique=False)
    op.create_index(op.f("ix_blocks_org_id_label"), "blocks", ["org_id", "label"], unique=False)
    op.create_table(
        "tools",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("tool_type", sa.Text(), nullable=False),
        sa.Column("source_type", sa.Text(), server_default="python", nullable=False),
        sa.Column("source_code", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("json_schema", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("args_json_schema", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("effect", sa.Text(), server_default="external", nullable=False),
        sa.Column("tags", postgresql.ARRAY(sa.String()), server_default="{}", nullable=False),
        sa.Column("return_char_limit", sa.BigInteger(), server_default=sa.text("50000"), nullable=False),
        sa.Column("default_requires_approval", sa.Boolean(), nullable=True),
        sa.Column("enable_parallel_execution", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("metadata_", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("created_by_id", sa.Text(), nullable=True),
        sa.Column("last_updated_by_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_tools_org_id_organizations"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tools")),
    )
    op.create_index(op.f("ix_tools_org_id_created_at_id"), "tools", ["org_id", "created_at", "id"], unique=False)
    op.create_index(op.f("ix_tools_org_id_name"), "tools", ["org_id", "name"], unique=True)
    op.create_table(
        "users",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_users_org_id_organizations"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
    )
    op.create_index(op.f("ix_users_org_id"), "users", ["org_id"], unique=False)
    op.create_table(
        "agent_secrets",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name=op.f("fk_agent_secrets_agent_id_agents"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_agent_secrets_org_id_organizations"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("agent_id", "key", name=op.f("pk_agent_secrets")),
    )
    op.create_index(op.f("ix_agent_secrets_org_id"), "agent_secrets", ["org_id"], unique=False)
    op.create_table(
        "agents_blocks",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("block_id", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name=op.f("fk_agents_blocks_agent_id_agents"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["block_id"], ["blocks.id"], name=op.f("fk_agents_blocks_block_id_blocks"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_agents_blocks_org_id_organizations"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("agent_id", "block_id", name=op.f("pk_agents_blocks")),
    )
    op.create_index(op.f("ix_agents_blocks_block_id"), "agents_blocks", ["block_id"], unique=False)
    op.create_index(
        "uq_agents_blocks_agent_id_label", "agents_blocks", ["agent_id", sa.literal_column("label")], unique=True
    )
    op.create_table(
        "agents_tools",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("tool_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name=op.f("fk_agents_tools_agent_id_agents"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_agents_tools_org_id_organizations"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tool_id"], ["tools.id"], name=op.f("fk_agents_tools_tool_id_tools"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("agent_id", "tool_id", name=op.f("pk_agents_tools")),
    )
    op.create_index(op.f("ix_agents_tools_tool_id"), "agents_tools", ["tool_id"], unique=False)
    op.create_table(
        "block_versions",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("block_id", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("limit", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("read_only", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("step_id", sa.Text(), nullable=True),
        sa.Column("call_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["block_id"], ["blocks.id"], name=op.f("fk_block_versions_block_id_blocks"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_block_versions_org_id_organizations"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("block_id", "version", name=op.f("pk_block_versions")),
    )
    op.create_index(op.f("ix_block_versions_org_id"), "block_versions", ["org_id"], unique=False)
    op.create_index(op.f("ix_block_versions_step_id"), "block_versions", ["step_id"], unique=False)
    op.create_table(
        "conversations",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("is_default", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("active_run_id", sa.Text(), nullable=True),
        sa.Column("summary", sa.Text(), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("last_message_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name=op.f("fk_conversations_agent_id_agents"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_conversations_org_id_organizations"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversations")),
    )
    op.create_index(
        "ix_conversations_active",
        "conversations",
        ["active_run_id"],
        unique=False,
        postgresql_where=sa.text("active_run_id IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_conversations_agent_id_created_at"), "conversations", ["agent_id", "created_at"], unique=False
    )
    op.create_index(
        op.f("ix_conversations_org_id_created_at_id"), "conversations", ["org_id", "created_at", "id"], unique=False
    )
    op.create_index(
        "uq_conversations_default", "conversations", ["agent_id"], unique=True, postgresql_where=sa.text("is_default")
    )
    op.create_table(
        "runs",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="created", nullable=False),
        sa.Column("stop_reason", sa.Text(), nullable=True),
        sa.Column("run_type", sa.Text(), server_default="send_message", nullable=False),
        sa.Column("background", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("request", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("metadata_", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("error", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("step_index", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("queue_seq", sa.BigInteger(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("body_hash", sa.Text(), server_default="", nullable=False),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("touched_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ttft_ns", sa.BigInteger(), nullable=True),
        sa.Column("total_duration_ns", sa.BigInteger(), nullable=True),
        sa.Column("callback_url", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_runs_agent_id_agents"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversations.id"],
            name=op.f("fk_runs_conversation_id_conversations"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_runs_org_id_organizations"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
    )
    op.create_index(op.f("ix_runs_agent_id_created_at_id"), "runs", ["agent_id", "created_at", "id"], unique=False)
    op.create_index("ix_runs_body_hash", "runs", ["conversation_id", "body_hash", "created_at"], unique=False)
    op.create_index(op.f("ix_runs_conversation_id_created_at"), "runs", ["conversation_id", "created_at"], unique=False)
    op.create_index(op.f("ix_runs_org_id_created_at_id"), "runs", ["org_id", "created_at", "id"], unique=False)
    op.create_index(
        "ix_runs_queue",
        "runs",
        ["conversation_id", "queue_seq"],
        unique=False,
        postgresql_where=sa.text("status = 'created'"),
    )
    op.create_index(
        "uq_runs_idempotency_key",
        "runs",
        ["org_id", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_table(
        "approvals",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("step_id", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("calls", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("withheld", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("answered_by_run_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name=op.f("fk_approvals_agent_id_agents"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversations.id"],
            name=op.f("fk_approvals_conversation_id_conversations"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_approvals_org_id_organizations"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_approvals_run_id_runs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
    )
    op.create_index(
        "ix_approvals_expiry", "approvals", ["expires_at"], unique=False, postgresql_where=sa.text("status = 'pending'")
    )
    op.create_index(op.f("ix_approvals_org_id"), "approvals", ["org_id"], unique=False)
    op.create_index(op.f("ix_approvals_run_id"), "approvals", ["run_id"], unique=False)
    op.create_index(
        "uq_approvals_pending",
        "approvals",
        ["conversation_id"],
        unique=True,
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_table(
        "messages",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("step_id", sa.Text(), nullable=True),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("position", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("tool_calls", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("tool_returns", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("approvals", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("text", sa.Text(), server_default="", nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("otid", sa.Text(), nullable=True),
        sa.Column("sender_id", sa.Text(), nullable=True),
        sa.Column("in_context", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name=op.f("fk_messages_agent_id_agents"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversations.id"],
            name=op.f("fk_messages_conversation_id_conversations"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_messages_org_id_organizations"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_messages_run_id_runs"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
    )
    op.create_index(op.f("ix_messages_agent_id_seq"), "messages", ["agent_id", "seq"], unique=False)
    op.create_index(
        "ix_messages_context",
        "messages",
        ["conversation_id", "seq"],
        unique=False,
        postgresql_where=sa.text("in_context"),
    )
    op.create_index(op.f("ix_messages_conversation_id_seq"), "messages", ["conversation_id", "seq"], unique=False)
    op.create_index(op.f("ix_messages_org_id_seq"), "messages", ["org_id", "seq"], unique=False)
    op.create_index(
        "ix_messages_otid",
        "messages",
        ["conversation_id", "otid"],
        unique=False,
        postgresql_where=sa.text("otid IS NOT NULL"),
    )
    op.create_index(op.f("ix_messages_run_id_seq"), "messages", ["run_id", "seq"], unique=False)
    op.create_index(op.f("ix_messages_step_id"), "messages", ["step_id"], unique=False)
    op.create_table(
        "run_events",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("step_index", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempt", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_run_events_org_id_organizations"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_events_run_id_runs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "seq", name=op.f("pk_run_events")),
    )
    op.create_index(
        "ix_run_events_step",
        "run_events",
        ["run_id", "step_index"],
        unique=False,
        postgresql_where=sa.text("kind = 'delta'"),
    )
    op.create_index(op.f("ix_run_events_created_at"), "run_events", ["created_at"], unique=False)
    op.create_table(
        "steps",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("index", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("stop_reason", sa.Text(), nullable=True),
        sa.Column("attempt", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("model_attempt", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("restarts", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("outcome", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("context_window", sa.BigInteger(), nullable=True),
        sa.Column("prompt_tokens", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("cached_input_tokens", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("reasoning_tokens", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("genome_hash", sa.Text(), nullable=True),
        sa.Column("epoch", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("arm", sa.Text(), nullable=True),
        sa.Column("error", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("feedback", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_steps_agent_id_agents"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_steps_org_id_organizations"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_steps_run_id_runs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "index", name=op.f("pk_steps")),
    )
    op.create_index(op.f("ix_steps_agent_id_created_at"), "steps", ["agent_id", "created_at"], unique=False)
    op.create_index(op.f("ix_steps_id"), "steps", ["id"], unique=False)
    op.create_index(op.f("ix_steps_org_id_created_at_id"), "steps", ["org_id", "created_at", "id"], unique=False)
    op.create_table(
        "tool_calls",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("step_index", sa.BigInteger(), nullable=False),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("effect", sa.Text(), server_default="external", nullable=False),
        sa.Column("status", sa.Text(), server_default="started", nullable=False),
        sa.Column("attempt", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("result", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_tool_calls_org_id_organizations"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_tool_calls_run_id_runs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "step_index", "call_id", name=op.f("pk_tool_calls")),
    )
    op.create_index(op.f("ix_tool_calls_org_id"), "tool_calls", ["org_id"], unique=False)


def downgrade() -> None:
    """Everything goes, but for the role: other databases of the server may use it."""
    for name in FUNCTION_NAMES:
        op.execute(f"DROP FUNCTION {name}")
    op.drop_index(op.f("ix_tool_calls_org_id"), table_name="tool_calls")
    op.drop_table("tool_calls")
    op.drop_index(op.f("ix_steps_org_id_created_at_id"), table_name="steps")
    op.drop_index(op.f("ix_steps_id"), table_name="steps")
    op.drop_index(op.f("ix_steps_agent_id_created_at"), table_name="steps")
    op.drop_table("steps")
    op.drop_index(op.f("ix_run_events_created_at"), table_name="run_events")
    op.drop_index("ix_run_events_step", table_name="run_events", postgresql_where=sa.text("kind = 'delta'"))
    op.drop_table("run_events")
    op.drop_index(op.f("ix_messages_step_id"), table_name="messages")
    op.drop_index(op.f("ix_messages_run_id_seq"), table_name="messages")
    op.drop_index("ix_messages_otid", table_name="messages", postgresql_where=sa.text("otid IS NOT NULL"))
    op.drop_index(op.f("ix_messages_org_id_seq"), table_name="messages")
    op.drop_index(op.f("ix_messages_conversation_id_seq"), table_name="messages")
    op.drop_index("ix_messages_context", table_name="messages", postgresql_where=sa.text("in_context"))
    op.drop_index(op.f("ix_messages_agent_id_seq"), table_name="messages")
    op.drop_table("messages")
    op.drop_index("uq_approvals_pending", table_name="approvals", postgresql_where=sa.text("status = 'pending'"))
    op.drop_index(op.f("ix_approvals_run_id"), table_name="approvals")
    op.drop_index(op.f("ix_approvals_org_id"), table_name="approvals")
    op.drop_index("ix_approvals_expiry", table_name="approvals", postgresql_where=sa.text("status = 'pending'"))
    op.drop_table("approvals")
    op.drop_index("uq_runs_idempotency_key", table_name="runs", postgresql_where=sa.text("idempotency_key IS NOT NULL"))
    op.drop_index("ix_runs_queue", table_name="runs", postgresql_where=sa.text("status = 'created'"))
    op.drop_index(op.f("ix_runs_org_id_created_at_id"), table_name="runs")
    op.drop_index(op.f("ix_runs_conversation_id_created_at"), table_name="runs")
    op.drop_index("ix_runs_body_hash", table_name="runs")
    op.drop_index(op.f("ix_runs_agent_id_created_at_id"), table_name="runs")
    op.drop_table("runs")
    op.drop_index("uq_conversations_default", table_name="conversations", postgresql_where=sa.text("is_default"))
    op.drop_index(op.f("ix_conversations_org_id_created_at_id"), table_name="conversations")
    op.drop_index(op.f("ix_conversations_agent_id_created_at"), table_name="conversations")
    op.drop_index(
        "ix_conversations_active", table_name="conversations", postgresql_where=sa.text("active_run_id IS NOT NULL")
    )
    op.drop_table("conversations")
    op.drop_index(op.f("ix_block_versions_step_id"), table_name="block_versions")
    op.drop_index(op.f("ix_block_versions_org_id"), table_name="block_versions")
    op.drop_table("block_versions")
    op.drop_index(op.f("ix_agents_tools_tool_id"), table_name="agents_tools")
    op.drop_table("agents_tools")
    op.drop_index("uq_agents_blocks_agent_id_label", table_name="agents_blocks")
    op.drop_index(op.f("ix_agents_blocks_block_id"), table_name="agents_blocks")
    op.drop_table("agents_blocks")
    op.drop_index(op.f("ix_agent_secrets_org_id"), table_name="agent_secrets")
    op.drop_table("agent_secrets")
    op.drop_index(op.f("ix_users_org_id"), table_name="users")
    op.drop_table("users")
    op.drop_index(op.f("ix_tools_org_id_name"), table_name="tools")
    op.drop_index(op.f("ix_tools_org_id_created_at_id"), table_name="tools")
    op.drop_table("tools")
    op.drop_index(op.f("ix_blocks_org_id_label"), table_name="blocks")
    op.drop_index(op.f("ix_blocks_org_id_created_at_id"), table_name="blocks")
    op.drop_table("blocks")
    op.drop_index(op.f("ix_api_keys_org_id"), table_name="api_keys")
    op.drop_index(op.f("ix_api_keys_hash"), table_name="api_keys")
    op.drop_table("api_keys")
    op.drop_index(op.f("ix_agents_tags"), table_name="agents", postgresql_using="gin")
    op.drop_index(op.f("ix_agents_org_id_updated_at_id"), table_name="agents")
    op.drop_index(op.f("ix_agents_org_id_name"), table_name="agents")
    op.drop_index(op.f("ix_agents_org_id_last_run_completion_id"), table_name="agents")
    op.drop_index(op.f("ix_agents_org_id_created_at_id"), table_name="agents")
    op.drop_table("agents")
    op.drop_table("organizations")
    op.execute("DROP SEQUENCE message_seq")
