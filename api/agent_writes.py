"""Making and changing agents: one transaction each, nothing half written."""

import json
import secrets
from collections.abc import Sequence
from datetime import datetime

from api.agent_config import compaction_settings, embedding_config, file_limits, model_config
from api.agent_reads import print_one
from api.deps import Caller
from api.inputs import parts
from api.schemas.agent_state import RELATIONS
from api.schemas.agents import CreateAgent, UpdateAgent
from api.schemas.messages import CreateMessage
from o import ids
from o.domain.agent import LEGACY_TYPES
from o.domain.base_tools import base_tools_of
from o.domain.call_text import SAY_ARGUMENT
from o.domain.json import JsonObject
from o.domain.messages import Message, ToolCall, ToolReturn
from o.domain.wire import SAY_TOOL
from o.errors import InvalidArgument, NotFound
from o.store.agent_secrets import secret_context
from o.store.prompts import recompile, start_conversation
from o.store.records import ToolRecord
from o.store.repositories.blocks import Author
from o.store.session import Transaction

_ADJECTIVES = ("Amber", "Brisk", "Calm", "Deft", "Eager", "Fair", "Gentle", "Keen", "Lucid", "Merry", "Noble", "Quiet")
_NOUNS = ("Badger", "Cedar", "Falcon", "Harbor", "Lantern", "Meadow", "Otter", "Pebble", "River", "Sparrow", "Willow")

_SYSTEM = (
    "You are an assistant with a memory of your own. Your memory blocks are shown below; they are all you know for "
    "certain across conversations. Keep them up to date with your memory tools when you learn something that lasts. "
    "Answer briefly, honestly and in the language you are spoken to."
)

# Tools whose call ends the turn of agents that speak by tool.
_ENDING = frozenset({SAY_TOOL, "send_message_to_agent_async", "memory_finish_edits"})
# Model names whose agents get no base rules unless asked: these models know when to stop. Small ones always get them.
_UNRULED = ("gpt-5", "claude-4-sonnet", "claude-3-5-sonnet", "gemini-2.5-pro")
_SEVERAL_FIRST = frozenset({"gpt-4o", "gpt-4o-mini"})


async def create(caller: Caller, body: CreateAgent) -> JsonObject:
    """Make an agent with its blocks, tools, secrets and first messages. Returns it as the wire has it.

    Raises:
        NotFound: an unknown model, block, folder or identity.
        InvalidArgument: an unknown tool, or settings that contradict each other.
        Conflict: two blocks of one label.
    """
    parts_ = caller.parts
    config = await model_config(body, caller.catalogue, before=None, default=parts_.defaults.model)
    embedding = await embedding_config(body, caller.catalogue, parts_.defaults)
    _check_links(body)
    _check_offered(body)
    if body.agent_type == "voice_convo_agent":
        raise InvalidArgument("agent_type: a voice_convo_agent needs enable_sleeptime, which is not offered yet")
    agent_id = ids.new("agent")
    tags = list(dict.fromkeys(body.tags or []))
    files, characters = file_limits(config["context_window"])
    async with caller.transaction() as tx:
        tools = await _tools(tx, body)
        rules = _rules(body, tools, config["handle"])
        await tx.agents.add(
            {
                "id": agent_id,
                "name": body.name or secrets.choice(_ADJECTIVES) + secrets.choice(_NOUNS),
                "agent_type": body.agent_type,
                "description": body.description,
                "system": _SYSTEM if body.system is None else body.system,
                "model": config["handle"],
                "embedding": embedding[0] if embedding else None,
                "llm_config": config,
                "embedding_config": embedding[1] if embedding else None,
                "compaction_settings": compaction_settings(body.compaction_settings, None, config["handle"]),
                "response_format": _response_format(body),
                "tool_rules": rules,
                "tags": tags,
                "metadata_": body.metadata or {},
                "timezone": body.timezone or "UTC",
                "hidden": True if "role:subagent" in tags else body.hidden,
                "message_buffer_autoclear": body.message_buffer_autoclear or body.agent_type == "workflow_agent",
                "enable_sleeptime": body.enable_sleeptime,
                "max_files_open": body.max_files_open or files,
                "per_file_view_window_char_limit": body.per_file_view_window_char_limit or characters,
                "project_id": body.project_id,
                "created_by_id": caller.user_id,
                "last_updated_by_id": caller.user_id,
            }
        )
        await _attach_blocks(tx, caller, agent_id, body)
        await tx.agents.set_tools(agent_id, [tool.id for tool in tools])
        await _set_secrets(tx, caller, agent_id, body.all_secrets)
        conversation_id = await start_conversation(tx, agent_id, is_default=True)
        await tx.messages.add(_first_messages(body, agent_id, conversation_id, tx.now()))
        return await print_one(caller, tx, agent_id, RELATIONS)


async def update(caller: Caller, agent_id: str, body: UpdateAgent) -> JsonObject:
    """Change an agent; what is null stays, lists replace. Returns it as the wire has it.

    Raises:
        NotFound: no such agent, block or model. InvalidArgument: an unknown tool, contradicting settings.
    """
    async with caller.transaction() as tx:
        before = await tx.agents.get(agent_id)
    config = await model_config(body, caller.catalogue, before=before.llm_config, default=before.model)
    embedding = await embedding_config(body, caller.catalogue, caller.parts.defaults)
    _check_links(body)
    _check_offered(body)
    if body.message_ids is not None:
        raise InvalidArgument("message_ids: what is in context cannot be chosen yet; leave it out")
    changes = body.model_dump(
        include={
            *("name", "system", "description", "tags", "timezone", "hidden", "enable_sleeptime", "max_files_open"),
            *("per_file_view_window_char_limit", "project_id", "message_buffer_autoclear", "last_run_completion"),
            *("last_run_duration_ms", "last_stop_reason"),
        },
        exclude_none=True,
    )
    if body.metadata is not None:
        changes["metadata_"] = body.metadata
    if body.tool_rules is not None:
        changes["tool_rules"] = _one_start([rule.model_dump(mode="json") for rule in body.tool_rules], config["handle"])
    if (response_format := _response_format(body)) is not None:
        changes["response_format"] = response_format
    if config != before.llm_config:
        changes |= {"llm_config": config, "model": config["handle"]}
    if body.compaction_settings is not None or config["handle"] != before.model:
        kept = before.compaction_settings
        if config["handle"].split("/", 1)[0] != before.model.split("/", 1)[0]:
            kept = {**kept, "model": compaction_settings(None, None, config["handle"])["model"]}
        changes["compaction_settings"] = compaction_settings(body.compaction_settings, kept, config["handle"])
    if embedding is not None:
        changes |= {"embedding": embedding[0], "embedding_config": embedding[1]}
    async with caller.transaction() as tx:
        await tx.agents.update(agent_id, changes, actor=caller.user_id)
        if body.tool_ids is not None:
            await tx.agents.set_tools(agent_id, [tool.id for tool in await tx.tools.by_ids(body.tool_ids)])
        if body.block_ids is not None:
            await tx.agents.set_blocks(agent_id, list(dict.fromkeys(body.block_ids)))
        await _set_secrets(tx, caller, agent_id, body.all_secrets)
        if body.block_ids is not None or body.tool_ids is not None or body.tool_rules is not None:
            await recompile(tx, [agent_id])
        return await print_one(caller, tx, agent_id, RELATIONS)


def _check_links(body: CreateAgent | UpdateAgent) -> None:
    """Folders and identities cannot exist yet, so every id of one is unknown."""
    for field, linked in (("folder_ids", body.folder_ids), ("source_ids", body.source_ids)):
        if linked:
            raise NotFound(f"{field}: Folder not found with id '{linked[0][:80]}'")
    if body.identity_ids:
        raise NotFound(f"identity_ids: Identity not found with id '{body.identity_ids[0][:80]}'")


def _check_offered(body: CreateAgent | UpdateAgent) -> None:
    if body.enable_sleeptime:
        raise InvalidArgument("enable_sleeptime: is not offered yet; leave it out or set it to false")


def _response_format(body: CreateAgent | UpdateAgent) -> JsonObject | None:
    given = body.response_format or (body.model_settings.response_format if body.model_settings else None)
    return given.model_dump(exclude_none=True) if given else None


async def _tools(tx: Transaction, body: CreateAgent) -> list[ToolRecord]:
    names = [*(base_tools_of(body.agent_type) if body.include_base_tools else ()), *(body.tools or ())]
    found = await tx.tools.by_names(list(dict.fromkeys(names))) if names else []
    if names and body.tool_ids is None:
        return found
    known = {tool.id for tool in found}
    return found + [
        tool for tool in await tx.tools.by_ids(list(dict.fromkeys(body.tool_ids or ()))) if tool.id not in known
    ]


def _rules(body: CreateAgent, tools: Sequence[ToolRecord], handle: str) -> list[JsonObject]:
    """The tool rules of a new agent: those it was given, and what its base tools are used by."""
    rules = [rule.model_dump(mode="json") for rule in body.tool_rules or []]
    name = handle.split("/", 1)[1]
    wanted = body.include_base_tool_rules
    if wanted is None:
        free = body.agent_type == "letta_v1_agent" and not body.tool_rules
        wanted = not free and ("mini" in name or not name.startswith(_UNRULED))
    for tool in tools:
        if wanted and tool.name in _ENDING:
            rules.append({"tool_name": tool.name, "type": "exit_loop", "prompt_template": None})
        elif wanted and tool.tool_type in ("letta_core", "letta_memory_core", "letta_sleeptime_core"):
            rules.append({"tool_name": tool.name, "type": "continue_loop", "prompt_template": None})
        if tool.default_requires_approval:
            rules.append({"tool_name": tool.name, "type": "requires_approval", "prompt_template": None})
    return _one_start(rules, handle)


def _one_start(rules: list[JsonObject], handle: str) -> list[JsonObject]:
    starts = [rule for rule in rules if rule["type"] == "run_first"]
    if len(starts) > 1 and handle.split("/", 1)[1] not in _SEVERAL_FIRST:
        raise InvalidArgument("tool_rules: only one run_first rule is possible with this model")
    return rules


async def _attach_blocks(tx: Transaction, caller: Caller, agent_id: str, body: CreateAgent) -> None:
    for block in body.memory_blocks or []:
        block_id = ids.new("block")
        await tx.blocks.add({"id": block_id, **block.columns()}, Author(caller.user_id))
        await tx.agents.attach_block(agent_id, block_id)
    for block_id in dict.fromkeys(body.block_ids or ()):
        await tx.agents.attach_block(agent_id, block_id)


async def _set_secrets(tx: Transaction, caller: Caller, agent_id: str, given: dict[str, str] | None) -> None:
    if given is None:
        return
    encrypt = caller.parts.keyring.encrypt
    await tx.agents.set_secrets(
        agent_id, {key: encrypt(value, context=secret_context(agent_id, key)) for key, value in given.items()}
    )


def _first_messages(body: CreateAgent, agent_id: str, conversation_id: str, at: datetime) -> list[Message]:
    """What stands in a new agent's history after the system message."""
    legacy = body.agent_type in LEGACY_TYPES
    given = body.initial_message_sequence
    if given is None:
        given = [CreateMessage(role="assistant", content="I am here and ready.")] if legacy else []
        login = {"type": "login", "last_login": "Never (first login)", "time": at.isoformat(timespec="seconds")}
        given += [CreateMessage(role="user", content=json.dumps(login))] if legacy else []
    stored: list[Message] = []
    for item in given:
        message_id = ids.new("message")
        first = Message(
            id=message_id,
            role=item.role,
            content=parts(item.content),
            created_at=at,
            name=item.name,
            otid=item.otid,
            sender_id=item.sender_id,
            agent_id=agent_id,
            conversation_id=conversation_id,
        )
        stored += _spoken(first) if legacy and item.role == "assistant" else [first]
    return stored


def _spoken(message: Message) -> list[Message]:
    """An assistant's words as the call that says them and its return."""
    call = ToolCall(f"call_{message.id[-12:]}", SAY_TOOL, json.dumps({SAY_ARGUMENT: message.text}))
    shared = {
        "created_at": message.created_at,
        "agent_id": message.agent_id,
        "conversation_id": message.conversation_id,
    }
    said = Message(id=message.id, role="assistant", content=(), tool_calls=(call,), **shared)  # type: ignore[arg-type]
    echo = Message(
        id=ids.new("message"),
        role="tool",
        content=(),
        tool_returns=(ToolReturn(call.id, "None", name=SAY_TOOL),),
        **shared,  # type: ignore[arg-type]
    )
    return [said, echo]
