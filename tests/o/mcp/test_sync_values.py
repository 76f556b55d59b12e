"""What becomes of a tool whose schema no model can be told of: it is kept, with the reason, and harms no other."""

from o.domain.mcp_pins import Offered
from o.mcp.sync import tool_values

TEXT = {"type": "string"}


def test_what_vendors_refuse_is_kept_with_the_reason() -> None:
    offered = Offered("odd", "Odd.", {"type": "object", "properties": {"two words": TEXT}})
    values = tool_values("odd", offered)
    assert "an argument is called 'two words'" in values["mcp"]["problem"]
    assert values["mcp"]["pin"] == offered.pin
    assert values["json_schema"]["parameters"] == {"type": "object", "properties": {}}


def test_choices_at_the_top_become_arguments() -> None:
    either = {"type": "object", "oneOf": [{"properties": {"a": TEXT}}, {"properties": {"b": TEXT}}]}
    values = tool_values("either", Offered("either", "", either))
    assert values["mcp"]["problem"] is None
    assert values["mcp"]["schema"] == either
    assert values["json_schema"]["parameters"] == {
        "type": "object",
        "properties": {"a": TEXT, "b": TEXT},
        "required": [],
    }
