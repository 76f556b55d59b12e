"""Memory blocks on the wire."""

from pydantic import Field

from api.schemas.common import Body, Count, Flag, FreeJson, Line, Name, Shape, StrippedText, Tags, Text
from o.domain.json import JsonObject
from o.store.records import BlockRecord

DEFAULT_LIMIT = 100_000

# What the two usual labels are for, where a client does not say it itself.
_DESCRIPTIONS = {
    "persona": "Who you are: your character, your manner and what you have learnt about yourself.",
    "human": "The person you are talking to: who they are, what they like, what they have told you.",
}


class CreateBlock(Body):
    """A block to make. `limit` is in characters and shown to the model; values from the API may be longer."""

    label: Name
    value: StrippedText
    limit: Count = DEFAULT_LIMIT
    description: Text | None = None
    read_only: Flag = False
    metadata: FreeJson | None = None
    tags: Tags | None = None
    hidden: Flag | None = None
    is_template: Flag = False
    template_name: Line | None = None
    preserve_on_migration: Flag | None = None
    project_id: Line | None = None

    def columns(self) -> JsonObject:
        """The row to insert, without id and owner."""
        return {
            "label": self.label,
            "value": self.value,
            "limit": self.limit,
            "description": self.description or _DESCRIPTIONS.get(self.label),
            "read_only": self.read_only,
            "metadata_": self.metadata or {},
            "tags": self.tags or [],
            "hidden": self.hidden,
            "is_template": self.is_template,
            "template_name": self.template_name,
            "preserve_on_migration": bool(self.preserve_on_migration),
            "project_id": self.project_id,
        }


class UpdateBlock(Body):
    """Changes to a block; what is absent or null stays as it is."""

    label: Name | None = None
    value: StrippedText | None = None
    limit: Count | None = None
    description: Text | None = None
    read_only: Flag | None = None
    metadata: FreeJson | None = None
    tags: Tags | None = None
    hidden: Flag | None = None
    is_template: Flag | None = None
    template_name: Line | None = None
    preserve_on_migration: Flag | None = None
    project_id: Line | None = None

    def columns(self) -> JsonObject:
        """The columns to set."""
        changes = self.model_dump(exclude_none=True)
        if "metadata" in changes:
            changes["metadata_"] = changes.pop("metadata")
        return changes


class Block(Shape):
    """A memory block."""

    id: str
    label: str
    value: str
    limit: int
    description: str | None = None
    read_only: bool = False
    metadata: JsonObject | None = Field(default_factory=dict)
    tags: list[str] = Field(default_factory=list)


def print_block(block: BlockRecord) -> JsonObject:
    """A block as the wire has it."""
    return {
        "id": block.id,
        "value": block.value,
        "limit": block.limit,
        "label": block.label,
        "description": block.description,
        "read_only": block.read_only,
        "metadata": block.metadata_,
        "tags": block.tags,
        "is_template": block.is_template,
        "template_name": block.template_name,
        "hidden": block.hidden,
        "project_id": block.project_id,
        "template_id": None,
        "base_template_id": None,
        "deployment_id": None,
        "entity_id": None,
        "preserve_on_migration": block.preserve_on_migration,
        "created_by_id": block.created_by_id,
        "last_updated_by_id": block.last_updated_by_id,
    }
