"""What tools need: their declarations, runs by hand, policies, calls between agents, archives, MCP servers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"

# In the order in which they can be dropped.
TABLES = (
    *("tool_policies", "tool_runs"),
    *("passages", "agents_archives", "archives"),
    *("mcp_sign_ins", "mcp_servers"),
)

# Runs by hand whose client and process are both gone leave a row behind.
PRUNE_NAME = "o_prune_tool_runs(double precision)"
PRUNE = """
CREATE FUNCTION o_prune_tool_runs(older_than double precision) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  WITH gone AS (DELETE FROM tool_runs WHERE created_at < now() - make_interval(secs => older_than) RETURNING 1)
  SELECT count(*) FROM gone
$$
"""


def upgrade() -> None:
    _make_tools()
    _make_archives()
    _make_mcp()
    for table in TABLES:
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO o_app")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY of_organization ON {table} USING (org_id = current_setting('o.org_id', true))")
    op.execute(PRUNE)
    op.execute(f"REVOKE ALL ON FUNCTION {PRUNE_NAME} FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION {PRUNE_NAME} TO o_app")
    op.add_column("runs", sa.Column("asked_by_run_id", sa.Text(), nullable=True))
    op.add_column("runs", sa.Column("asked_by_step", sa.BigInteger(), nullable=True))
    op.add_column("runs", sa.Column("asked_by_call", sa.Text(), nullable=True))
    op.add_column("runs", sa.Column("awaited", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("runs", sa.Column("ancestors", postgresql.ARRAY(sa.String()), server_default="{}", nullable=False))
    op.create_index(
        "ix_runs_asked_by",
        "runs",
        ["asked_by_run_id"],
        unique=False,
        postgresql_where=sa.text("asked_by_run_id IS NOT NULL"),
    )
    op.add_column("approvals", sa.Column("on_timeout", sa.Text(), server_default="deny", nullable=False))
    op.add_column("tools", sa.Column("idempotent", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("tools", sa.Column("pip_requirements", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column("tools", sa.Column("npm_requirements", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column(
        "tools", sa.Column("sandbox", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False)
    )
    op.add_column("tools", sa.Column("mcp_server_id", sa.Text(), nullable=True))
    op.add_column("tools", sa.Column("mcp", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.create_index(op.f("ix_tools_mcp_server_id"), "tools", ["mcp_server_id"], unique=False)
    op.create_foreign_key(
        op.f("fk_tools_mcp_server_id_mcp_servers"),
        "tools",
        "mcp_servers",
        ["mcp_server_id"],
        ["id"],
        ondelete="CASCADE",
    )
    # "idempotent" was an effect of its own.
    op.execute("UPDATE tools SET effect = 'writes', idempotent = true WHERE effect = 'idempotent'")
    op.execute("UPDATE tool_calls SET effect = 'writes' WHERE effect = 'idempotent'")


def _make_tools() -> None:
    op.create_table(
        "tool_runs",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_tool_runs_org_id_organizations"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tool_runs")),
    )
    op.create_index(op.f("ix_tool_runs_created_at"), "tool_runs", ["created_at"], unique=False)
    op.create_index(op.f("ix_tool_runs_org_id"), "tool_runs", ["org_id"], unique=False)
    op.create_table(
        "tool_policies",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("tool_name", sa.Text(), server_default="*", nullable=False),
        sa.Column("arguments", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=True),
        sa.Column("tag", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("timeout_seconds", sa.BigInteger(), nullable=True),
        sa.Column("on_timeout", sa.Text(), server_default="deny", nullable=False),
        sa.Column("created_by_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name=op.f("fk_tool_policies_agent_id_agents"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_tool_policies_org_id_organizations"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tool_policies")),
    )
    op.create_index(op.f("ix_tool_policies_agent_id"), "tool_policies", ["agent_id"], unique=False)
    op.create_index(
        op.f("ix_tool_policies_org_id_created_at_id"), "tool_policies", ["org_id", "created_at", "id"], unique=False
    )


def _make_archives() -> None:
    op.create_table(
        "archives",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("created_by_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_archives_org_id_organizations"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_archives")),
    )
    op.create_index(op.f("ix_archives_org_id_created_at_id"), "archives", ["org_id", "created_at", "id"], unique=False)
    op.create_table(
        "agents_archives",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("archive_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name=op.f("fk_agents_archives_agent_id_agents"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["archive_id"], ["archives.id"], name=op.f("fk_agents_archives_archive_id_archives"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_agents_archives_org_id_organizations"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("agent_id", "archive_id", name=op.f("pk_agents_archives")),
    )
    op.create_index(op.f("ix_agents_archives_archive_id"), "agents_archives", ["archive_id"], unique=False)
    op.create_index(op.f("ix_agents_archives_org_id"), "agents_archives", ["org_id"], unique=False)
    op.create_table(
        "passages",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("archive_id", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column(
            "lexemes", postgresql.TSVECTOR(), sa.Computed("to_tsvector('simple', text)", persisted=True), nullable=True
        ),
        sa.Column("tags", postgresql.ARRAY(sa.String()), server_default="{}", nullable=False),
        sa.Column("metadata_", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("created_by_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["archive_id"], ["archives.id"], name=op.f("fk_passages_archive_id_archives"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_passages_org_id_organizations"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_passages")),
    )
    op.create_index(
        op.f("ix_passages_archive_id_created_at_id"), "passages", ["archive_id", "created_at", "id"], unique=False
    )
    op.create_index(op.f("ix_passages_lexemes"), "passages", ["lexemes"], unique=False, postgresql_using="gin")
    op.create_index(op.f("ix_passages_org_id"), "passages", ["org_id"], unique=False)
    op.create_index(op.f("ix_passages_tags"), "passages", ["tags"], unique=False, postgresql_using="gin")


def _make_mcp() -> None:
    op.create_table(
        "mcp_servers",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("server_name", sa.Text(), nullable=False),
        sa.Column("server_type", sa.Text(), nullable=False),
        sa.Column("config", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("secrets", sa.Text(), nullable=True),
        sa.Column("oauth", sa.Text(), nullable=True),
        sa.Column("failures", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("open_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_synced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_by_id", sa.Text(), nullable=True),
        sa.Column("last_updated_by_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_mcp_servers_org_id_organizations"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mcp_servers")),
    )
    op.create_index(
        op.f("ix_mcp_servers_org_id_created_at_id"), "mcp_servers", ["org_id", "created_at", "id"], unique=False
    )
    op.create_index(op.f("ix_mcp_servers_org_id_server_name"), "mcp_servers", ["org_id", "server_name"], unique=True)
    op.create_table(
        "mcp_sign_ins",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("server_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("data", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_mcp_sign_ins_org_id_organizations"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["server_id"], ["mcp_servers.id"], name=op.f("fk_mcp_sign_ins_server_id_mcp_servers"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mcp_sign_ins")),
    )
    op.create_index(op.f("ix_mcp_sign_ins_org_id"), "mcp_sign_ins", ["org_id"], unique=False)
    op.create_index(op.f("ix_mcp_sign_ins_server_id"), "mcp_sign_ins", ["server_id"], unique=False)
    op.create_index(op.f("ix_mcp_sign_ins_state"), "mcp_sign_ins", ["state"], unique=True)


def downgrade() -> None:
    op.execute("UPDATE tools SET effect = 'idempotent' WHERE idempotent")
    op.execute("UPDATE tools SET effect = 'external' WHERE effect = 'writes'")
    op.execute("UPDATE tool_calls SET effect = 'external' WHERE effect = 'writes'")
    op.execute("DELETE FROM tools WHERE mcp_server_id IS NOT NULL")
    op.drop_constraint(op.f("fk_tools_mcp_server_id_mcp_servers"), "tools", type_="foreignkey")
    for column in ("mcp", "mcp_server_id", "sandbox", "npm_requirements", "pip_requirements", "idempotent"):
        op.drop_column("tools", column)
    op.drop_column("approvals", "on_timeout")
    op.drop_index("ix_runs_asked_by", table_name="runs")
    for column in ("ancestors", "awaited", "asked_by_call", "asked_by_step", "asked_by_run_id"):
        op.drop_column("runs", column)
    op.execute(f"DROP FUNCTION {PRUNE_NAME}")
    for table in TABLES:
        op.drop_table(table)
