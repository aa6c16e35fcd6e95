"""How the results of all suites become one line."""

import os

import pytest

from tests.run import MAY_BE_SKIPPED, SUITES, TESTS, Outcome, Suite, outcome, run

REPORT = """<testsuites><testsuite>
<testcase name="one"/><testcase name="two"/>
<testcase classname="tests.a.test_b" name="three[x]">
<failure message="assert 1 == 2&#10;more">text</failure></testcase>
<testcase classname="tests.a.test_c" name="four"><skipped message="no engine"/></testcase>
<testcase classname="tests.a.test_d" name="five"><error message="failed on setup"/></testcase>
</testsuite></testsuites>"""
THREE = "some: tests/a/test_b.py::three[x]: assert 1 == 2"
FOUR = "some: tests/a/test_c.py::four: skipped in CI: no engine"
FIVE = "some: tests/a/test_d.py::five: failed on setup"


@pytest.fixture
def report(tmp_path):
    path = tmp_path / "report.xml"
    path.write_text(REPORT)
    return path


def test_skipped_tests_are_neither_passed_nor_failed(report, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    assert outcome("some", report, code=1) == Outcome(2, (THREE, FIVE), 1)


def test_in_ci_a_skipped_test_has_failed_unless_it_may_be_skipped(report, monkeypatch):
    monkeypatch.setenv("CI", "true")
    assert outcome("some", report, code=1) == Outcome(2, (THREE, FOUR, FIVE), 0)
    known = next(iter(MAY_BE_SKIPPED))
    report.write_text(REPORT.replace("tests.a.test_c", known))
    assert outcome("some", report, code=1) == Outcome(2, (THREE, FIVE), 1)


def test_a_suite_that_breaks_without_a_failed_test_has_failed(report, tmp_path):
    report.write_text("<testsuites><testsuite><testcase/></testsuite></testsuites>")
    broken = ("some: no test failed, but pytest ended with exit status 3",)
    assert outcome("some", report, code=3) == Outcome(1, broken)
    assert outcome("some", tmp_path / "missing.xml", code=3) == Outcome(0, broken)


def test_outcomes_add_up():
    assert Outcome(1, ("a",), 3) + Outcome(3, ("b", "c"), 5) == Outcome(4, ("a", "b", "c"), 8)


def test_the_last_lines_name_the_failed_tests_and_count_all():
    assert str(Outcome(2)) == "2 passed, 0 failed, 0 skipped"
    assert str(Outcome(2, (THREE, FIVE), 1)) == (
        f"\nFailed:\n{THREE}\n{FIVE}\n2 passed, 2 failed, 1 skipped"
    )


def test_a_long_reason_is_cut(report):
    report.write_text(REPORT.replace("assert 1 == 2", "x" * 5000))
    long, *_ = outcome("some", report, code=1).failures
    assert long.endswith(": " + "x" * 200)


def test_a_failed_test_is_named_at_the_end(tmp_path):
    """What pytest itself writes, of a real test."""
    (tmp_path / "test_wrong.py").write_text("def test_wrong():\n    assert 1 == 2\n")
    done = run(Suite("some", (str(tmp_path),)), dict(os.environ), together=True)
    (line,) = done.failures
    assert "test_wrong.py::test_wrong: assert 1 == 2" in line


def test_a_suite_without_tests_is_left_out():
    assert run(Suite("none", ("no_such_folder",)), {}) == Outcome()


def test_every_folder_of_tests_is_in_a_suite():
    listed = {path for suite in SUITES for path in suite.paths}
    there = {
        path.relative_to(TESTS).parts[0]
        for path in TESTS.rglob("test_*.py")
        if "__pycache__" not in path.parts
    }
    assert there <= listed


def test_what_one_suite_leaves_out_another_one_tests():
    left_out = {path for suite in SUITES for path in suite.without}
    assert left_out
    assert left_out <= {path for suite in SUITES for path in suite.paths}
    assert all((TESTS / path).is_file() for path in left_out)


def test_a_suite_leaves_out_what_it_says(tmp_path):
    for name in ("test_a.py", "test_b.py"):
        (tmp_path / name).write_text("def test_one():\n    pass\n")
    half = Suite("some", (str(tmp_path),), without=(str(tmp_path / "test_b.py"),))
    assert run(half, dict(os.environ), together=True) == Outcome(1)


def test_every_folder_with_settings_is_a_suite_with_these_settings():
    with_settings = {suite.paths[0]: suite.settings for suite in SUITES if suite.settings}
    found = {str(path.parent.relative_to(TESTS)) for path in TESTS.rglob("settings.py")}
    assert found
    assert {place: with_settings.get(place) for place in found} == {
        place: f"tests.{place.replace('/', '.')}.settings" for place in found
    }
