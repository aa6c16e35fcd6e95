"""What executors and validators append to a job's stderr is removed again, and nothing else."""

import pytest

from compute_horde.protocol import left_out_notes
from compute_horde.protocol.left_out import LeftOut, listed

FILES = [LeftOut(name=f"/a/{n}\u00e9\n", size=n, why="too large") for n in range(150)]


@pytest.mark.parametrize("count", [1, 2, 19, 20, 21, 100, 150])
@pytest.mark.parametrize("more", [0, 1, 30])
@pytest.mark.parametrize("stderr", ["", "err", "err\n", "\n[left out: x]\n", "[and more]\n"])
def test_the_job_s_own_stderr_is_what_is_left(count, more, stderr):
    sent = listed(FILES[:count])
    text = stderr + left_out_notes.of_left_out(sent)
    if more:
        text += left_out_notes.ARTIFACTS_LEFT_OUT.format(more, more + 3)
    dropped = [LeftOut(name=f"/a/z{n}", size=n, why="w") for n in range(more)]
    assert left_out_notes.without_notes(text, listed((*sent, *dropped))) == stderr


@pytest.mark.parametrize(
    "stderr",
    [
        left_out_notes.of_left_out(FILES[:2]),
        left_out_notes.of_left_out(FILES[:30]),
        left_out_notes.ARTIFACTS_LEFT_OUT.format(1, 2),
    ],
)
def test_where_nothing_is_left_out_a_job_may_print_what_it_likes(stderr):
    assert left_out_notes.without_notes(stderr, ()) == stderr
    other = [LeftOut(name="/b", why="w")]
    if "validator" not in stderr:
        assert left_out_notes.without_notes(stderr, other) == stderr
