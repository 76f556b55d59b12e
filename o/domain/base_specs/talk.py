"""The tools by which an agent speaks: to its user and to other agents, and looks up what was said."""

from o.domain.agent import ASK_AGENT, ASK_AGENTS, TELL_AGENT
from o.domain.base_specs.declaring import BaseTool, schema, text, texts, whole
from o.domain.json import JsonObject
from o.domain.model import ToolSpec

_DAYS: JsonObject = {
    "start_date": text("Earliest day or time, ISO 8601."),
    "end_date": text("Latest day or time, ISO 8601; a day counts to its end."),
}
_OTHER = text("Id of the other agent, `agent-…`.")

TALK = (
    BaseTool(
        ToolSpec(
            "send_message",
            "Say something to the user. This is the only way the user hears from you.",
            schema(("message",), message=text("What to say, in full.")),
        ),
        "letta_core",
        "pure",
    ),
    BaseTool(
        ToolSpec(
            "conversation_search",
            "Search everything said before in your conversations, also what is no longer in view.",
            schema(
                query=text("Words to look for; leave out to list by date or role only."),
                roles=texts("Only messages of these speakers.", "assistant", "user", "tool"),
                limit=whole("Most results to return (5 by default).", 1),
                **_DAYS,
            ),
        ),
        "letta_core",
        "reads",
        parallel=True,
    ),
    BaseTool(
        ToolSpec(
            "conversation_search_date",
            "List what was said in your conversations between two days or times, newest first.",
            schema(
                ("start_date", "end_date"),
                **_DAYS,
                limit=whole("Most results to return (5 by default).", 1),
                page=whole("Which page of results, from 0 (default).", 0),
            ),
        ),
        "letta_core",
        "reads",
        parallel=True,
    ),
    BaseTool(
        ToolSpec(
            ASK_AGENT,
            "Say something to another agent and wait for its answer, which this call returns.",
            schema(
                ("message", "other_agent_id"),
                message=text("What to say. The other agent sees nothing else of this conversation."),
                other_agent_id=_OTHER,
            ),
        ),
        "letta_multi_agent_core",
        "writes",
        idempotent=True,
    ),
    BaseTool(
        ToolSpec(
            ASK_AGENTS,
            "Say something to every agent that has certain tags and wait for their answers, which this call returns.",
            schema(
                ("message", "match_all", "match_some"),
                message=text("What to say. The other agents see nothing else of this conversation."),
                match_all=texts("Tags that an agent must all have."),
                match_some=texts("Tags of which an agent must have at least one; empty for no such condition."),
            ),
        ),
        "letta_multi_agent_core",
        "writes",
        idempotent=True,
    ),
    BaseTool(
        ToolSpec(
            TELL_AGENT,
            "Say something to another agent without waiting for an answer.",
            schema(
                ("message", "other_agent_id"),
                message=text("What to say. The other agent sees nothing else of this conversation."),
                other_agent_id=_OTHER,
            ),
        ),
        "letta_multi_agent_core",
        "writes",
        idempotent=True,
    ),
)
