"""What is confirmed has a digest, and a worker does nothing else."""

import pytest

from compute_horde.django.confirmed_action import (
    MAX_ROWS,
    NotDoneError,
    Preview,
    PreviewTable,
    check_still_confirmed,
    digest_of,
)
from tests.compute_horde.django.records.models import Action


def test_the_digest_is_of_what_is_decided_and_of_nothing_else() -> None:
    assert Preview([1], facts=[("block", "7")]).digest == Preview([1]).digest
    assert Preview([1]).digest != Preview([2]).digest
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})


def test_a_worker_does_what_was_confirmed_or_nothing() -> None:
    record = Action(digest=Preview([1]).digest)
    check_still_confirmed(record, Preview([1]))
    with pytest.raises(NotDoneError, match="has changed"):
        check_still_confirmed(record, Preview([2]))
    with pytest.raises(NotDoneError, match="the window is over"):
        check_still_confirmed(record, Preview([1], obstacles=["the window is over"]))


def test_of_a_long_table_a_part_is_kept() -> None:
    table = PreviewTable("t", ("n",), [(str(number),) for number in range(MAX_ROWS + 5)])
    (kept,) = Preview([], facts=[("a", "b")], tables=[table]).shown()["tables"]
    assert len(kept["rows"]) == MAX_ROWS
