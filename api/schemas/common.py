"""The types request bodies are made of: bounded, free of what Postgres cannot store, refused in plain words."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictInt

from o.domain.json import JsonObject
from o.ids import pattern

MAX_TEXT = 4_000_000
_MAX_DEPTH = 32
_MAX_NODES = 20_000


def _no_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not contain NUL characters; remove them")
    return value


def _without_nul(value: str) -> str:
    return value.replace("\0", "")


def plain(value: JsonObject) -> JsonObject:
    """A document that can be stored: no NUL, at most 32 levels deep, at most 20 000 values."""
    waiting: list[tuple[Any, int]] = [(value, 1)]
    seen = 0
    while waiting:
        node, depth = waiting.pop()
        seen += 1
        if depth > _MAX_DEPTH:
            raise ValueError(f"is nested deeper than {_MAX_DEPTH} levels; flatten it")
        if seen > _MAX_NODES:
            raise ValueError(f"has more than {_MAX_NODES} values; shorten it")
        if isinstance(node, dict):
            for key in node:
                _no_nul(key)
            waiting.extend((child, depth + 1) for child in node.values())
        elif isinstance(node, list):
            waiting.extend((child, depth + 1) for child in node)
        elif isinstance(node, str):
            _no_nul(node)
    return value


Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_no_nul)]
Line = Annotated[str, Field(max_length=2000), AfterValidator(_no_nul)]
Text = Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(_no_nul)]
StrippedText = Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(_without_nul)]
FreeJson = Annotated[JsonObject, AfterValidator(plain)]
Flag = StrictBool
Count = Annotated[StrictInt, Field(ge=1, le=2**31 - 1)]
Tags = Annotated[list[Name], Field(max_length=200)]

AgentId = Annotated[str, Field(pattern=pattern("agent"))]
BlockId = Annotated[str, Field(pattern=pattern("block"))]
ToolId = Annotated[str, Field(pattern=pattern("tool"))]
MessageId = Annotated[str, Field(pattern=pattern("message"))]
StepId = Annotated[str, Field(pattern=pattern("step"))]


class Body(BaseModel):
    """Root of request bodies. Fields nobody knows are ignored, as in the contract; wrong types are refused."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Shape(BaseModel):
    """Root of the shapes that document answers. Answers are built as JSON, not through these."""

    model_config = ConfigDict(extra="allow")
