"""A conversation may have a model of its own."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("conversations", sa.Column("llm_config", postgresql.JSONB(), nullable=True))


def downgrade() -> None:
    op.drop_column("conversations", "llm_config")
