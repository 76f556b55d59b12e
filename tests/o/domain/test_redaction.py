"""Secrets in what tools return."""

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o.domain.redaction import Redaction

SECRET = 'k3y/with+"quotes"&ü='


@pytest.mark.parametrize(
    "said",
    [
        SECRET,
        SECRET[::-1],
        json.dumps({"key": SECRET}),
        json.dumps({"key": SECRET}, ensure_ascii=False),
        quote(SECRET),
        SECRET.encode().hex(),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(b"Bearer " + SECRET.encode() + b" and more").decode(),
        base64.b64encode(b"x" + SECRET.encode()).decode(),
    ],
)
def test_a_secret_is_recognised_in_its_usual_forms(said: str) -> None:
    redacted = Redaction({"API_KEY": SECRET}).text(f"before {said} after")
    assert "[secret API_KEY]" in redacted
    assert said not in redacted
    assert redacted.startswith("before ") and redacted.endswith(" after")


def test_the_longer_of_two_secrets_is_taken_whole() -> None:
    assert Redaction({"SHORT": "abcd", "LONG": "abcdefgh"}).text("abcdefgh abcd") == "[secret LONG] [secret SHORT]"


def test_values_too_short_to_be_secrets_stay() -> None:
    assert Redaction({"DEBUG": "1", "MODE": "on"}).text("1 on") == "1 on"


def test_documents_are_redacted_to_their_leaves() -> None:
    document = {"a": [{"hunter22": "x hunter22"}], "n": 1, "none": None, "yes": True}
    assert Redaction({"PW": "hunter22"}).document(document) == {
        "a": [{"[secret PW]": "x [secret PW]"}],
        "n": 1,
        "none": None,
        "yes": True,
    }


@given(
    st.text(min_size=8, max_size=40).filter(lambda secret: "[" not in secret),
    st.text(max_size=30),
    st.text(max_size=30),
)
def test_no_secret_survives_as_it_is(secret: str, before: str, after: str) -> None:
    assert secret not in Redaction({"S": secret}).text(before + secret + after).replace("[secret S]", "[]")
