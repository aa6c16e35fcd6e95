"""How the results of all suites become one line."""

import pytest

from tests.run import SUITES, TESTS, Outcome, Suite, outcome, run

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


def test_skipped_tests_are_neither_passed_nor_failed(report):
    assert outcome(report, code=1) == Outcome(passed=2, failed=2)


def test_a_suite_that_breaks_without_a_failed_test_has_failed(report, tmp_path):
    report.write_text("<testsuites><testsuite><testcase/></testsuite></testsuites>")
    assert outcome(report, code=3) == Outcome(passed=1, failed=1)
    assert outcome(tmp_path / "missing.xml", code=0) == Outcome(failed=1)


def test_outcomes_add_up():
    assert Outcome(1, 2) + Outcome(3, 4) == Outcome(4, 6)


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
