"""JSON Patch for blocks that are JSON."""

import json

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from o.domain.blocks import EditRefused
from o.domain.json_patch import apply_json_patch, is_json_patch

VALUE = '{"name": "Ada", "likes": ["tea"]}'


def patched(*operations: object, value: str = VALUE, longest: int = 1000) -> str:
    return apply_json_patch(value, json.dumps(operations), longest=longest)


def test_operations_are_made_in_order_and_the_form_is_kept() -> None:
    replace = {"op": "replace", "path": "/name", "value": "Grace ☕"}
    add = {"op": "add", "path": "/likes/-", "value": "chess"}
    assert patched(replace, add) == '{"name": "Grace ☕", "likes": ["tea", "chess"]}'
    indented = json.dumps(json.loads(VALUE), indent=4)
    assert patched(add, value=indented) == '{\n  "name": "Ada",\n  "likes": [\n    "tea",\n    "chess"\n  ]\n}'


@pytest.mark.parametrize(
    ("value", "patch", "complaint"),
    [
        ("plain words", "[]", "what the block says is not valid JSON"),
        (VALUE, "[oops]", "the patch is not valid JSON"),
        (VALUE, '["replace"]', "array of objects"),
        (VALUE, '[{"op": "remove", "path": "/nope"}]', 'operation 1 .*"path": "/nope"'),
        (VALUE, '[{"op": "add", "path": "/a", "value": 1}, {"op": "replace"}]', "operation 2"),
        (VALUE, '[{"op": "test", "path": "/name", "value": "Bob"}]', "operation 1"),
        (VALUE, '[{"op": "add", "path": "name", "value": 1}]', "operation 1"),
        (VALUE, '[{"op": "add", "path": "/likes/9", "value": 1}]', "operation 1"),
        (VALUE, '[{"op": "add", "path": "/x", "value": NaN}]', "not valid JSON"),
        ('{"a": 1, "a": 2}', "[]", "same name"),
        (VALUE, "[" * 100_000, "nested too deeply|not valid JSON"),
    ],
)
def test_refusals_name_the_operation(value: str, patch: str, complaint: str) -> None:
    with pytest.raises(EditRefused, match=complaint):
        apply_json_patch(value, patch, longest=1000)


def test_a_patch_that_copies_its_own_copies_is_stopped_early() -> None:
    bomb = [{"op": "copy", "from": "", "path": f"/{number}"} for number in range(60)]
    with pytest.raises(EditRefused, match="longer than 1000"):
        patched(*bomb)


def test_what_is_a_json_patch_is_seen_by_its_bracket() -> None:
    assert is_json_patch(' [{"op": "remove"}]')
    assert not is_json_patch("@@\n-[x]")


DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(DOCUMENTS, DOCUMENTS)
def test_the_difference_of_two_documents_gives_the_second(before: object, after: object) -> None:
    patch = jsonpatch.make_patch(before, after).to_string()
    made = apply_json_patch(json.dumps(before), patch, longest=10_000)
    assert json.loads(made) == after


@given(st.text(max_size=30), st.text(max_size=60))
def test_no_text_as_a_patch_breaks_anything(value: str, patch: str) -> None:
    try:
        made = apply_json_patch("{" + value, "[" + patch, longest=1000)
    except EditRefused:
        return
    json.loads(made)
