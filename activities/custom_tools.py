"""People's own tools: run in the sandbox with no more than they need, their returns rid of secrets."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from o import tool_key
from o.domain.agent import Agent
from o.domain.blocks import Block
from o.domain.json import JsonObject
from o.domain.messages import ToolReturn
from o.domain.redaction import Redaction
from o.domain.tool_client import wants_client
from o.domain.tool_limits import ToolLimits
from o.domain.tool_returns import failure, printed
from o.domain.tool_run import ToolRunRequest
from o.errors import InvalidArgument
from o.sandbox.base import MIB, CodeCall, CodeResult, Egress, Limits, Sandbox, SandboxUnavailable
from o.sandbox.egress import API_HOST, EgressProxy
from o.sandbox.egress_grants import ApiAccess
from o.sandbox.requirements import refuse_packages
from o.store.block_edits import BlockEdit, changed
from o.tool_key import ToolScope

# A tool's key outlives its call by this much: the clocks of two machines differ.
_GRACE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose call it is: the organisation, and the agent with the secrets it gives its tools, if it is an agent's."""

    org_id: str
    agent: Agent | None = None
    run_id: str | None = None
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Ran:
    """What a call returned, and the edits of the agent's memory it made on the way."""

    returned: ToolReturn
    edits: tuple[BlockEdit, ...] = ()


class CustomTools:
    """Runs one call at a time in a sandbox, for any number of callers.

    Args:
        ways_out: the proxy through which calls reach what they may; None where no call may reach anything.
        most: the operator's limits, which a tool's own can only lower.
        api_url: where the api listens.
        key_secret: what tools' short-lived keys are made with; None where tools get none.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        ways_out: EgressProxy | None,
        most: Limits,
        *,
        api_url: str,
        key_secret: bytes | None,
        now: Callable[[], datetime],
    ) -> None:
        self._sandbox = sandbox
        self._ways_out = ways_out
        self._most = most
        self._api_url = api_url
        self._key_secret = key_secret
        self._now = now

    async def run(self, asked: ToolRunRequest, owner: Owner, call_id: str) -> Ran:
        """Run one call. What goes wrong, in the tool or with it, is the return's; only a cancellation is raised."""
        secrets = {**owner.secrets, **asked.environment}
        redaction = Redaction(secrets)
        limits = limits_of(asked.limits, self._most)
        blocks = {block.label: block for block in owner.agent.blocks} if owner.agent else {}
        try:
            refuse_packages(asked.packages)
            libraries = await self._sandbox.prepare(asked.requirements) if asked.requirements else None
            async with self._egress(asked, owner, limits) as (egress, key):
                result = await self._sandbox.run(
                    CodeCall(
                        source=asked.source,
                        function=asked.function,
                        language=asked.source_type,
                        arguments=asked.arguments,
                        order=tuple((asked.parameters or {}).get("properties", {})),
                        environment={**_identity(asked, owner), **key, **secrets},
                        agent_state=_state(owner.agent) if owner.agent else None,
                        libraries=libraries,
                        egress=egress,
                        limits=limits,
                    )
                )
        except (SandboxUnavailable, InvalidArgument) as error:
            return Ran(failure(call_id, asked.function, error.message))
        returned = _returned(result, asked, call_id, redaction)
        return Ran(returned, _edits(blocks, result, redaction))

    @asynccontextmanager
    async def _egress(
        self, asked: ToolRunRequest, owner: Owner, limits: Limits
    ) -> AsyncIterator[tuple[Egress | None, Mapping[str, str]]]:
        """The call's way out, if it has one, and the variables that let it speak to O for its agent."""
        key = self._key(owner, limits) if wants_client(asked.source, asked.source_type) else None
        if self._ways_out is None or not (asked.limits.network or key):
            yield None, {}
            return
        api = ApiAccess(self._api_url, key) if key else None
        names = {"LETTA_API_KEY": key, "LETTA_BASE_URL": f"http://{API_HOST}"} if key else {}
        async with self._ways_out.grant(asked.limits.network, api) as egress:
            yield egress, names

    def _key(self, owner: Owner, limits: Limits) -> str | None:
        if owner.agent is None or self._key_secret is None:
            return None
        expires = self._now() + timedelta(seconds=limits.wall) + _GRACE
        scope = ToolScope(owner.org_id, owner.agent.id, owner.run_id, expires)
        return tool_key.mint(self._key_secret, scope)


def limits_of(wanted: ToolLimits, most: Limits) -> Limits:
    """What a call may use: what its tool asks for, as far as the operator allows it."""
    asked = {
        "wall": wanted.timeout,
        "cpu": wanted.cpu,
        "memory": wanted.memory and wanted.memory * MIB,
        "processes": wanted.processes,
        "open_files": wanted.open_files,
        "disk": wanted.disk and wanted.disk * MIB,
        "output": wanted.output and wanted.output * 1024,
        "result": wanted.result and wanted.result * 1024,
    }
    lowered = {name: min(value, getattr(most, name)) for name, value in asked.items() if value is not None}
    return most.model_copy(update=lowered)


def _identity(asked: ToolRunRequest, owner: Owner) -> dict[str, str]:
    """Who the tool is and works for, under the names that tools written for Letta look up."""
    known = {"LETTA_AGENT_ID": owner.agent.id if owner.agent else None, "LETTA_TOOL_ID": asked.tool_id}
    return {name: value for name, value in known.items() if value}


def _state(agent: Agent) -> JsonObject:
    """The agent as a tool's argument `agent_state` shows it."""
    return {
        "id": agent.id,
        "name": agent.name,
        "agent_type": agent.agent_type,
        "system": agent.system,
        "tools": [tool.name for tool in agent.tools],
        "blocks": [
            {
                "id": block.id,
                "label": block.label,
                "value": block.value,
                "limit": block.limit,
                "description": block.description,
                "read_only": block.read_only,
            }
            for block in agent.blocks
        ],
    }


def _edits(blocks: Mapping[str, Block], result: CodeResult, redaction: Redaction) -> tuple[BlockEdit, ...]:
    """The edits in the state that a call left. It came out of the sandbox: whatever has not its shape is left out."""
    left = (result.agent_state or {}).get("blocks")
    after = {}
    for block in left if isinstance(left, list) else ():
        if isinstance(block, dict) and isinstance(block.get("label"), str) and isinstance(block.get("value"), str):
            after[block["label"]] = redaction.text(block["value"]) if _is_new(blocks, block) else block["value"]
    return changed(blocks, after)


def _is_new(blocks: Mapping[str, Block], block: JsonObject) -> bool:
    known = blocks.get(block["label"])
    return known is None or known.value != block["value"]


def _returned(result: CodeResult, asked: ToolRunRequest, call_id: str, redaction: Redaction) -> ToolReturn:
    if result.outcome == "returned":
        returned = ToolReturn(call_id, redaction.text(printed(result.value)), "success", asked.function)
    else:
        returned = failure(call_id, asked.function, redaction.text(result.error or "it ended without a word"))
    return replace(
        returned,
        stdout=tuple(redaction.text(text) for text in (result.stdout,) if text),
        stderr=tuple(redaction.text(text) for text in (result.stderr,) if text),
    )
