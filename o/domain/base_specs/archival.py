"""The tools by which an agent keeps and finds long-term memories outside its context."""

from o.domain.base_specs.declaring import BaseTool, choice, schema, text, texts, whole
from o.domain.model import ToolSpec

ARCHIVAL = (
    BaseTool(
        ToolSpec(
            "archival_memory_insert",
            "Keep a text in long-term memory, to be found again by archival_memory_search. Write it so that it can be "
            "understood by itself.",
            schema(
                ("content",),
                content=text("The text to keep."),
                tags=texts("Words by which to narrow later searches."),
            ),
        ),
        "letta_core",
        "writes",
        idempotent=True,  # the call gives the memory its id
    ),
    BaseTool(
        ToolSpec(
            "archival_memory_search",
            "Search long-term memory for what was kept there, best match first.",
            schema(
                ("query",),
                query=text("What to look for: words, or a name."),
                tags=texts("Only memories with these tags."),
                tag_match_mode=choice(
                    "Whether one of the tags is enough (any, default) or all are needed.", "any", "all"
                ),
                top_k=whole("Most results to return (5 by default).", 1, 100),
                start_datetime=text("Earliest day or time of keeping, ISO 8601."),
                end_datetime=text("Latest day or time of keeping, ISO 8601; a day counts to its end."),
            ),
        ),
        "letta_core",
        "reads",
        parallel=True,
    ),
)
