"""What a tool sees as `agent_state`: the agent and its memory blocks, to read and to edit."""

from typing import Any


class Block:
    """One memory block; `value` may be set."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.label: str = given["label"]
        self.value: str = given["value"]
        self.limit: int | None = given.get("limit")
        self.description: str | None = given.get("description")
        self.read_only: bool = bool(given.get("read_only"))


class Memory:
    """The blocks by label."""

    def __init__(self, blocks: list[Block]) -> None:
        self.blocks = blocks

    def list_block_labels(self) -> list[str]:
        return [block.label for block in self.blocks]

    def get_block(self, label: str) -> Block:
        """Raises KeyError."""
        for block in self.blocks:
            if block.label == label:
                return block
        raise KeyError(f"this agent has no memory block {label!r}; it has {', '.join(self.list_block_labels())}")

    def update_block_value(self, label: str, value: str) -> None:
        """Raises KeyError; ValueError for a value that is no string."""
        if not isinstance(value, str):
            raise ValueError("the value of a memory block must be a string")
        self.get_block(label).value = value


class AgentState:
    """The agent that called the tool: `id`, `name`, and what else the executor was given."""

    def __init__(self, given: dict[str, Any]) -> None:
        for name, value in given.items():
            if name.isidentifier() and not name.startswith("_"):
                setattr(self, name, value)
        self.memory = Memory([Block(block) for block in given.get("blocks", ())])

    @property
    def blocks(self) -> list[Block]:
        return self.memory.blocks

    @blocks.setter
    def blocks(self, _: object) -> None:
        """The blocks are made from what is given; the list itself is not kept."""


def after(given: dict[str, Any], state: AgentState) -> dict[str, Any]:
    """The state as it was given, with the blocks' values as they are now. Blocks cannot be added or taken away."""
    values = {block.label: block.value for block in state.memory.blocks}
    blocks = [{**block, "value": str(values.get(block["label"], block["value"]))} for block in given.get("blocks", ())]
    return {**given, "blocks": blocks}
