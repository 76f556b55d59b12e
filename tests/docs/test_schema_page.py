"""The page on the schema says what the tables say."""

from docs import schema


def test_the_page_is_up_to_date() -> None:
    assert schema.PAGE.read_text() == schema.page(), "run `make docs`"
