"""Charts hold a bounded number of values, the same in the picture and in the table."""

import re
from pathlib import Path

import pytest
from django.template import Context, Engine

from compute_horde import django as shared
from compute_horde.django.charts import MAX_LINES, MAX_POINTS, Line, LineChart

HERE = Path(shared.__path__[0])
FILES = HERE / "static" / "compute_horde"
TEMPLATES = HERE / "templates" / "compute_horde"


def chart(*lines: Line, labels: tuple[str, ...] = ("7", "8")) -> LineChart:
    return LineChart("Points of miners", labels, lines, "cycle", "points")


def test_the_table_has_the_numbers_of_the_picture_newest_first() -> None:
    shown = chart(Line("alice", [1, 2.5]), Line("bob", [None, 3]))
    assert shown.rows == [("8", [2.5, 3]), ("7", [1, None])]
    assert shown.data["lines"] == [
        {"name": "alice", "values": [1, 2.5]},
        {"name": "bob", "values": [None, 3]},
    ]
    assert shown.identifier == "chart-points-of-miners"


@pytest.mark.parametrize(
    ("lines", "labels"),
    [
        ([Line("x", [1])] * (MAX_LINES + 1), ["7"]),
        ([], ["7"] * (MAX_POINTS + 1)),
        ([Line("x", [1])], ["7", "8"]),
    ],
)
def test_what_a_page_cannot_show_is_refused(lines: list[Line], labels: list[str]) -> None:
    with pytest.raises(ValueError, match="chart"):
        LineChart("t", labels, lines)


def test_a_name_is_no_markup_and_no_script() -> None:
    name = "</script><script>alert(1)</script>"
    engine = Engine(builtins=["django.templatetags.static"])
    page = engine.from_string((TEMPLATES / "chart.html").read_text())
    text = page.render(Context({"chart": chart(Line(name, [1, 2]))}))
    assert text.count("<script") == text.count("</script") == 1
    assert "alert(1)" in text


def test_the_library_is_the_version_that_its_folder_names_and_has_its_licence() -> None:
    (library,) = FILES.glob("chart.js-*")
    version = library.name.removeprefix("chart.js-")
    assert f"Chart.js v{version}\n" in (library / "chart.umd.min.js").read_text()[:100]
    assert "MIT" in (library / "LICENSE.md").read_text()[:30]
    assert library.name in (TEMPLATES / "chart_scripts.html").read_text()


def test_no_template_has_scripts_or_styles_that_the_policy_forbids() -> None:
    root = HERE.parent.parent
    found = [*HERE.rglob("*.html"), *root.glob("*/*/templates/**/*.html")]
    assert len(found) > 10
    for page in found:
        text = page.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", text), page
        assert "http://" not in text
        assert "https://" not in text
