"""Progress that nobody hears."""

from executor import progress


def test_nobody_need_listen_to_progress():
    tell: progress.Tell = progress.silent
    assert tell("file", 1, None) is None
