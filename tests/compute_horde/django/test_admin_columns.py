"""Long values are abbreviated in admin lists, and nothing in them is taken for HTML."""

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from compute_horde.django.admin_columns import IMAGE_CHARACTERS, abbreviated, hotkey, image
from tests.compute_horde.django.records.models import Job

# What HTML parsers read as another character.
TEXT = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=60)


class Spans(HTMLParser):
    """What a browser makes of a column: tags, titles and the text that is shown."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.titles: list[str | None] = []
        self.shown = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.titles += [value for name, value in attrs if name == "title"]

    def handle_data(self, data: str) -> None:
        self.shown += data


@given(TEXT.filter(lambda text: len(text) > 6), st.integers(1, 3), st.integers(1, 2))
def test_the_middle_of_a_long_value_is_left_out_and_shown_on_hover(text, head, tail):
    spans = Spans(abbreviated(text, head, tail))
    assert (spans.tags, spans.titles) == (["span"], [text])
    assert spans.shown == f"{text[:head]}…{text[-tail:]}"


@given(TEXT.filter(lambda text: len(text) <= 13))
def test_a_short_value_is_shown_as_it_is(text):
    assert abbreviated(text) == (text or "-")


def test_a_column_is_named_and_ordered_by_its_field():
    row = Job(note="5" * 20)
    column = hotkey("note")
    assert (column.short_description, column.admin_order_field) == ("note", "note")
    assert Spans(column(row)).shown == "55555555…5555"
    assert hotkey("validator_id").short_description == "validator"
    assert Spans(image("note")(Job(note="x" * 40))).shown == "x" * (IMAGE_CHARACTERS - 4) + "…xxxx"
