"""The callback that ignores progress."""

from executor import progress


def test_nobody_need_listen_to_progress():
    report_progress: progress.ProgressCallback = progress.ignore_progress
    assert report_progress("file", 1, None) is None
