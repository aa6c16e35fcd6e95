"""How the results of all suites become one line."""

import pytest

from tests.run import MAY_BE_SKIPPED, SUITES, TESTS, Outcome, Suite, outcome, run

REPORT = """<testsuites><testsuite>
<testcase name="one"/><testcase name="two"/>
<testcase name="three"><failure/></testcase>
<testcase name="four"><skipped/></testcase>
<testcase name="five"><error/></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def report(tmp_path):
    path = tmp_path / "report.xml"
    path.write_text(REPORT)
    return path


def test_skipped_tests_are_neither_passed_nor_failed(report, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    assert outcome(report, code=1) == Outcome(passed=2, failed=2, skipped=1)


def test_in_ci_a_skipped_test_has_failed_unless_it_may_be_skipped(report, monkeypatch):
    monkeypatch.setenv("CI", "true")
    assert outcome(report, code=1) == Outcome(passed=2, failed=3)
    known = next(iter(MAY_BE_SKIPPED))
    report.write_text(REPORT.replace('name="four"', f'classname="{known}" name="four"'))
    assert outcome(report, code=1) == Outcome(passed=2, failed=2, skipped=1)


def test_a_suite_that_breaks_without_a_failed_test_has_failed(report, tmp_path):
    report.write_text("<testsuites><testsuite><testcase/></testsuite></testsuites>")
    assert outcome(report, code=3) == Outcome(passed=1, failed=1)
    assert outcome(tmp_path / "missing.xml", code=0) == Outcome(failed=1)


def test_outcomes_add_up():
    assert Outcome(1, 2, 3) + Outcome(3, 4, 5) == Outcome(4, 6, 8)


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


def test_every_folder_with_settings_is_a_suite_with_these_settings():
    with_settings = {suite.paths[0]: suite.settings for suite in SUITES if suite.settings}
    found = {str(path.parent.relative_to(TESTS)) for path in TESTS.rglob("settings.py")}
    assert found
    assert {place: with_settings.get(place) for place in found} == {
        place: f"tests.{place.replace('/', '.')}.settings" for place in found
    }
