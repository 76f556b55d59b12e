"""The words of a message, as a search of the transcript looks at them and shows them."""

from o.domain.heartbeats import is_heartbeat
from o.domain.messages import Message
from o.domain.wire import said_by


def words_of(message: Message) -> str:
    """What was said: in the text, by a tool that speaks; else what tools returned. A heartbeat says nothing."""
    if message.role == "user" and is_heartbeat(message.text):
        return ""
    said = [*filter(None, map(said_by, message.tool_calls)), message.text]
    return "\n\n".join(filter(None, said)) or "\n".join(returned.content for returned in message.tool_returns)
