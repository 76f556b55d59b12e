"""Agents: their rows, what is attached to them, and an agent whole, as a step needs it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal

from psycopg import sql
from psycopg.rows import DictRow

from o.domain.agent import Agent, AgentType, Tool, own_or_shared
from o.domain.blocks import Block
from o.domain.json import JsonObject
from o.domain.model import Sampling, ToolSpec
from o.domain.tool_policy import POLICIES
from o.domain.tool_rules import TOOL_RULES
from o.errors import NotFound
from o.store.records import AgentRecord, BlockRecord, SecretRecord, ToolRecord
from o.store.repositories.base import Repository, as_json

_JSON_COLUMNS = frozenset(
    {"llm_config", "embedding_config", "compaction_settings", "response_format", "tool_rules", "metadata_"}
)
_ORDERS = {
    "created_at": sql.SQL("created_at"),
    "updated_at": sql.SQL("updated_at"),
    # Agents that never ran come last.
    "last_run_completion": sql.SQL("coalesce(last_run_completion, '-infinity')"),
}


@dataclass(frozen=True, slots=True)
class AgentFilter:
    """What to list: None means any. `limit` ≥ 1; `after` and `before` are agent ids in listing order."""

    name: str | None = None
    query_text: str | None = None
    tags: tuple[str, ...] = ()
    match_all_tags: bool = False
    last_stop_reason: str | None = None
    show_hidden: bool = False
    block_id: str | None = None
    project_id: str | None = None
    created_by_id: str | None = None
    after: str | None = None
    before: str | None = None
    limit: int = 50
    order: Literal["asc", "desc"] = "desc"
    order_by: Literal["created_at", "updated_at", "last_run_completion"] = "created_at"


@dataclass(frozen=True, slots=True)
class Attached:
    """What belongs to an agent: its own conversation and what is in context there, its blocks, tools and secrets."""

    conversation_id: str
    message_ids: Sequence[str]
    blocks: Sequence[BlockRecord]
    tools: Sequence[ToolRecord]
    secrets: Sequence[SecretRecord]


# What is read of an agent's own conversation `c`, besides the agent.
_ATTACHED = sql.SQL(
    """
    c.agent_id, c.id AS conversation_id,
    (SELECT coalesce(array_agg(m.id ORDER BY m.seq), '{}') FROM messages m
     WHERE m.conversation_id = c.id AND m.in_context AND m.seq IS NOT NULL) AS message_ids,
    CASE WHEN %(blocks)s THEN (SELECT json_agg(b ORDER BY ab.created_at, b.id)
     FROM agents_blocks ab JOIN blocks b ON b.id = ab.block_id WHERE ab.agent_id = c.agent_id) END AS blocks,
    CASE WHEN %(tools)s THEN (SELECT json_agg(t ORDER BY at.created_at, t.name)
     FROM agents_tools at JOIN tools t ON t.id = at.tool_id WHERE at.agent_id = c.agent_id) END AS tools,
    CASE WHEN %(secrets)s THEN (SELECT json_agg(json_build_object('agent_id', s.agent_id, 'key', s.key,
      'value', s.value, 'description', s.description) ORDER BY s.key)
     FROM agent_secrets s WHERE s.agent_id = c.agent_id) END AS secrets
    """
)
_ATTACHED_OF_MANY = sql.SQL("SELECT {} FROM conversations c WHERE c.agent_id = ANY(%(ids)s) AND c.is_default").format(
    _ATTACHED
)
_ONE_WITH_ATTACHED = sql.SQL(
    "SELECT a.*, {} FROM agents a JOIN conversations c ON c.agent_id = a.id AND c.is_default WHERE a.id = %(id)s"
).format(_ATTACHED)
_AGENT_COLUMNS = tuple(each.name for each in fields(AgentRecord))


class Agents(Repository):
    """The agents of one organisation."""

    async def add(self, values: Mapping[str, Any]) -> None:
        """Insert an agent; `values` are columns of `agents` without `org_id`."""
        columns = {"org_id": self._org_id, **values}
        await self._execute(
            sql.SQL("INSERT INTO agents ({}) VALUES ({})").format(
                sql.SQL(", ").join(map(sql.Identifier, columns)),
                sql.SQL(", ").join(map(sql.Placeholder, columns)),
            ),
            _encoded(columns),
        )

    async def get(self, agent_id: str) -> AgentRecord:
        """Raises NotFound."""
        record = await self._record(AgentRecord, "SELECT * FROM agents WHERE id = %(id)s", {"id": agent_id})
        if record is None:
            raise NotFound(f"Agent not found with id '{agent_id}'")
        return record

    async def list(self, what: AgentFilter) -> list[AgentRecord]:
        """Agents in listing order. A cursor that names no agent is ignored, as in the contract."""
        conditions, params = _conditions(what)
        column = _ORDERS[what.order_by]
        descending = what.order == "desc"
        for cursor, past in ((what.after, True), (what.before, False)):
            if cursor is None:
                continue
            operator = sql.SQL("<") if descending == past else sql.SQL(">")
            name = "after" if past else "before"
            params[name] = cursor
            conditions.append(
                sql.SQL(
                    "(NOT EXISTS (SELECT 1 FROM agents WHERE id = {c}) OR ({k}, id) {op} "
                    "(SELECT {k}, id FROM agents WHERE id = {c}))"
                ).format(c=sql.Placeholder(name), k=column, op=operator)
            )
        direction = sql.SQL("DESC") if descending else sql.SQL("ASC")
        query = sql.SQL("SELECT * FROM agents WHERE {} ORDER BY {k} {d}, id {d} LIMIT {n}").format(
            sql.SQL(" AND ").join(conditions) if conditions else sql.SQL("true"),
            k=column,
            d=direction,
            n=sql.Literal(what.limit),
        )
        return await self._records(AgentRecord, query, params)

    async def count(self) -> int:
        row = await self._row("SELECT count(*) AS n FROM agents WHERE hidden IS NOT TRUE", {})
        return int(row["n"]) if row else 0

    async def update(self, agent_id: str, changes: Mapping[str, Any], *, actor: str) -> None:
        """Set columns of one agent. Raises NotFound."""
        columns = {**changes, "last_updated_by_id": actor}
        assignments = [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in columns]
        touched = await self._execute(
            sql.SQL("UPDATE agents SET {}, updated_at = now() WHERE id = %(agent_id)s").format(
                sql.SQL(", ").join(assignments)
            ),
            {"agent_id": agent_id, **_encoded(columns)},
        )
        if not touched:
            raise NotFound(f"Agent not found with id '{agent_id}'")

    async def lock(self, agent_id: str) -> None:
        """Keep others from compiling the agent's system messages until the transaction ends."""
        await self._execute("SELECT 1 FROM agents WHERE id = %(id)s FOR NO KEY UPDATE", {"id": agent_id})

    async def delete(self, agent_id: str) -> None:
        """Delete an agent with its conversations, messages and runs; its blocks stay. Raises NotFound."""
        # The lock order: a turn that is ending holds its conversation and wants the agent's row.
        await self._execute(
            "SELECT 1 FROM conversations WHERE agent_id = %(id)s ORDER BY id FOR UPDATE", {"id": agent_id}
        )
        if not await self._execute("DELETE FROM agents WHERE id = %(id)s", {"id": agent_id}):
            raise NotFound(f"Agent not found with id '{agent_id}'")

    async def whole(self, agent_id: str, conversation_id: str | None = None) -> Agent:
        """The agent with its tools and blocks, in one query; with the model of this conversation where it has one.

        Raises:
            NotFound: no such agent.
        """
        row = await self._row(
            """
            SELECT a.*, c.model AS own_model, c.llm_config AS own_config,
              (SELECT coalesce(json_agg(json_build_object('id', b.id, 'label', b.label, 'value', b.value,
                 'limit', b.limit, 'description', b.description, 'read_only', b.read_only, 'version', b.version)
                 ORDER BY ab.created_at, b.id), '[]')
               FROM agents_blocks ab JOIN blocks b ON b.id = ab.block_id WHERE ab.agent_id = a.id) AS blocks,
              (SELECT coalesce(json_agg(json_build_object('id', t.id, 'name', t.name, 'type', t.tool_type,
                 'schema', t.json_schema, 'effect', t.effect, 'idempotent', t.idempotent, 'limit', t.return_char_limit,
                 'parallel', t.enable_parallel_execution) ORDER BY at.created_at, t.name), '[]')
               FROM agents_tools at JOIN tools t ON t.id = at.tool_id WHERE at.agent_id = a.id) AS tools,
              (SELECT coalesce(json_agg(json_build_object('id', p.id, 'action', p.action, 'tool_name', p.tool_name,
                 'arguments', p.arguments, 'agent_id', p.agent_id, 'tag', p.tag, 'reason', p.reason,
                 'timeout_seconds', p.timeout_seconds, 'on_timeout', p.on_timeout) ORDER BY p.created_at, p.id), '[]')
               FROM tool_policies p WHERE p.org_id = a.org_id AND (p.agent_id IS NULL OR p.agent_id = a.id)
               AND (p.tag IS NULL OR p.tag = ANY(a.tags))) AS policies
            FROM agents a LEFT JOIN conversations c ON c.id = %(conversation)s WHERE a.id = %(id)s
            """,
            {"id": agent_id, "conversation": conversation_id},
        )
        if row is None:
            raise NotFound(f"Agent not found with id '{agent_id}'")
        config = own_or_shared(row["own_config"], row["llm_config"])
        return Agent(
            id=row["id"],
            org_id=row["org_id"],
            name=row["name"],
            agent_type=row["agent_type"],
            system=row["system"],
            model=row["own_model"] or row["model"],
            context_window=int(config["context_window"]),
            sampling=_sampling(config),
            strict=bool(config.get("strict")),
            parallel_tool_calls=bool(config.get("parallel_tool_calls")),
            response_format=config.get("response_format") or row["response_format"],
            rules=TOOL_RULES.validate_python(row["tool_rules"]),
            tools=tuple(_tool(tool) for tool in row["tools"]),
            blocks=tuple(Block(**block) for block in row["blocks"]),
            timezone=row["timezone"],
            message_buffer_autoclear=row["message_buffer_autoclear"],
            created_at=row["created_at"],
            thoughts_in_arguments=bool(config.get("put_inner_thoughts_in_kwargs")),
            tags=tuple(row["tags"]),
            policies=POLICIES.validate_python(row["policies"]),
        )

    async def attached(
        self, agent_ids: Sequence[str], *, blocks: bool, tools: bool, secrets: bool = False
    ) -> Mapping[str, Attached]:
        """What belongs to these agents, by agent, in one query; blocks, tools and secrets only where wanted."""
        rows = await self._rows(
            _ATTACHED_OF_MANY,
            {"ids": list(agent_ids), "blocks": blocks, "tools": tools, "secrets": secrets},
        )
        return {row["agent_id"]: _attached(row) for row in rows}

    async def get_attached(
        self, agent_id: str, *, blocks: bool, tools: bool, secrets: bool = False
    ) -> tuple[AgentRecord, Attached]:
        """One agent and what belongs to it, in one query. Raises NotFound."""
        row = await self._row(
            _ONE_WITH_ATTACHED,
            {"id": agent_id, "blocks": blocks, "tools": tools, "secrets": secrets},
        )
        if row is None:
            raise NotFound(f"Agent not found with id '{agent_id}'")
        return AgentRecord(**{name: row[name] for name in _AGENT_COLUMNS}), _attached(row)

    async def own_thread(self, agent_id: str) -> tuple[str, AgentType]:
        """The id of the agent's own conversation, and the agent's type. Raises NotFound."""
        row = await self._row(
            "SELECT c.id, a.agent_type FROM agents a JOIN conversations c ON c.agent_id = a.id AND c.is_default "
            "WHERE a.id = %(id)s",
            {"id": agent_id},
        )
        if row is None:
            raise NotFound(f"Agent not found with id '{agent_id}'")
        return row["id"], row["agent_type"]

    async def secrets(self, agent_id: str) -> Sequence[SecretRecord]:
        """The agent's secrets, as they are stored."""
        return await self._records(
            SecretRecord,
            "SELECT agent_id, key, value, description FROM agent_secrets WHERE agent_id = %(id)s ORDER BY key",
            {"id": agent_id},
        )

    async def set_secrets(self, agent_id: str, ciphertexts: Mapping[str, str]) -> None:
        """Replace all secrets of the agent."""
        await self._execute("DELETE FROM agent_secrets WHERE agent_id = %(id)s", {"id": agent_id})
        await self._execute_many(
            "INSERT INTO agent_secrets (org_id, agent_id, key, value) VALUES (%(org)s, %(id)s, %(key)s, %(value)s)",
            [{"org": self._org_id, "id": agent_id, "key": key, "value": value} for key, value in ciphertexts.items()],
        )

    async def set_tools(self, agent_id: str, tool_ids: Sequence[str]) -> None:
        """Attach exactly these tools; those already attached keep their place."""
        await self._execute(
            "WITH gone AS (DELETE FROM agents_tools WHERE agent_id = %(agent)s AND tool_id <> ALL(%(tools)s)) "
            "INSERT INTO agents_tools (org_id, agent_id, tool_id, created_at) "
            "SELECT %(org)s, %(agent)s, tool, clock_timestamp() FROM unnest(%(tools)s::text[]) AS tool "
            "ON CONFLICT DO NOTHING",
            {"org": self._org_id, "agent": agent_id, "tools": list(tool_ids)},
        )

    async def set_blocks(self, agent_id: str, block_ids: Sequence[str]) -> None:
        """Attach exactly these blocks.

        Raises:
            psycopg.errors.UniqueViolation: two blocks of one label (the transaction reports a Conflict).
        """
        params = {"org": self._org_id, "agent": agent_id, "blocks": list(block_ids)}
        await self._execute(
            "DELETE FROM agents_blocks WHERE agent_id = %(agent)s AND block_id <> ALL(%(blocks)s)", params
        )
        for block_id in block_ids:
            await self.attach_block(agent_id, block_id)

    async def attach_block(self, agent_id: str, block_id: str) -> None:
        """Attach one block; attaching it again changes nothing. Raises NotFound."""
        touched = await self._execute(
            "INSERT INTO agents_blocks (org_id, agent_id, block_id, label, created_at) "
            "SELECT org_id, %(agent)s, id, label, clock_timestamp() FROM blocks WHERE id = %(block)s "
            "ON CONFLICT (agent_id, block_id) DO UPDATE SET label = excluded.label",
            {"agent": agent_id, "block": block_id},
        )
        if not touched:
            raise NotFound(f"Block not found with id '{block_id}'")

    async def detach_block(self, agent_id: str, block_id: str) -> None:
        """Raises NotFound when the block is not attached."""
        touched = await self._execute(
            "DELETE FROM agents_blocks WHERE agent_id = %(agent)s AND block_id = %(block)s",
            {"agent": agent_id, "block": block_id},
        )
        if not touched:
            raise NotFound(f"Block '{block_id}' is not attached to agent '{agent_id}'")


def _attached(row: DictRow) -> Attached:
    return Attached(
        row["conversation_id"],
        row["message_ids"],
        [BlockRecord(**_timed(block)) for block in row["blocks"] or ()],
        [ToolRecord(**_timed(tool)) for tool in row["tools"] or ()],
        [SecretRecord(**secret) for secret in row["secrets"] or ()],
    )


def _timed(row: JsonObject) -> JsonObject:
    """A row that came as JSON, with its times as times again."""
    times = {name: datetime.fromisoformat(row[name]) for name in ("created_at", "updated_at")}
    return {**row, **times}


def _encoded(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: as_json(value) if name in _JSON_COLUMNS and value is not None else value
        for name, value in columns.items()
    }


def _conditions(what: AgentFilter) -> tuple[list[sql.SQL | sql.Composed], dict[str, Any]]:
    conditions: list[sql.SQL | sql.Composed] = []
    params: dict[str, Any] = {}

    def add(condition: sql.SQL, **values: Any) -> None:
        conditions.append(condition)
        params.update(values)

    if what.name is not None:
        add(sql.SQL("name = %(name)s"), name=what.name)
    if what.query_text:
        add(sql.SQL("position(lower(%(query)s) IN lower(name)) > 0"), query=what.query_text)
    if what.tags:
        operator = sql.SQL("tags @> %(tags)s") if what.match_all_tags else sql.SQL("tags && %(tags)s")
        add(operator, tags=list(what.tags))
    if what.last_stop_reason is not None:
        add(sql.SQL("last_stop_reason = %(reason)s"), reason=what.last_stop_reason)
    if what.block_id is not None:
        add(sql.SQL("id IN (SELECT agent_id FROM agents_blocks WHERE block_id = %(block)s)"), block=what.block_id)
    if what.project_id is not None:
        add(sql.SQL("project_id = %(project)s"), project=what.project_id)
    if what.created_by_id is not None:
        add(sql.SQL("created_by_id = %(creator)s"), creator=what.created_by_id)
    if not what.show_hidden:
        add(sql.SQL("hidden IS NOT TRUE"))
    return conditions, params


def _sampling(config: JsonObject) -> Sampling:
    return Sampling(
        temperature=config.get("temperature"),
        top_p=config.get("top_p"),
        frequency_penalty=config.get("frequency_penalty"),
        max_tokens=config.get("max_tokens"),
        seed=config.get("seed"),
        reasoning=config.get("enable_reasoner"),
        reasoning_effort=config.get("reasoning_effort"),
        reasoning_tokens=config.get("max_reasoning_tokens") or None,
        verbosity=config.get("verbosity"),
    )


def _tool(row: JsonObject) -> Tool:
    schema: JsonObject = row["schema"]
    spec = ToolSpec(row["name"], schema.get("description") or "", schema.get("parameters") or {"type": "object"})
    return Tool(
        row["id"], row["name"], row["type"], spec, row["effect"], row["limit"], row["parallel"], row["idempotent"]
    )
