"""At most one submission of a cycle is open, and at most one is accepted."""

import pytest
from django.db import IntegrityError, transaction

from compute_horde.adapters.chain_port import AcceptedWeights
from validator.weights import journal
from validator.weights.models import Submission, WeightsSet

pytestmark = pytest.mark.django_db


def cycle(start: int = 722) -> WeightsSet:
    return WeightsSet.objects.create(cycle_start=start, earned_in=start - 722)


def begin(row: WeightsSet) -> Submission | None:
    return journal.begin(row, {3: 65535}, {3: "miner", 4: "other"}, block=9, validity_blocks=8)


def test_a_submission_is_stored_with_what_it_means_before_it_is_sent() -> None:
    row = cycle()
    sent = begin(row)
    assert sent is not None
    assert journal.open_submission(row) == sent
    assert (sent.values, sent.hotkeys) == ({"3": 65535}, {"3": "miner"})
    assert (sent.sent_in_block, sent.expires_in_block) == (9, 17)


def test_a_second_one_is_not_begun_while_the_first_is_open() -> None:
    row = cycle()
    assert begin(row)
    assert begin(row) is None
    assert begin(cycle(1444))


def test_none_is_begun_once_one_was_accepted() -> None:
    row = cycle()
    sent = begin(row)
    assert sent
    journal.accept(sent, AcceptedWeights(12, 777))
    assert begin(row) is None
    found = journal.accepted_submission(row)
    assert found
    assert (found.block, found.reveal_round) == (12, 777)


def test_the_first_end_that_is_known_stays() -> None:
    row = cycle()
    sent = begin(row)
    assert sent
    stale = Submission.objects.get(pk=sent.pk)
    journal.found(Submission.objects.get(pk=sent.pk), 12)
    journal.refuse(sent, "the watch was lost")
    assert not journal.accept(stale, AcceptedWeights(99, None))
    found = journal.accepted_submission(row)
    assert found
    assert (found.block, found.problem) == (12, "")


@pytest.mark.parametrize("end", [journal.expire, lambda one: journal.refuse(one, "no" * 1000)])
def test_one_without_an_effect_is_followed_by_another(end) -> None:
    row = cycle()
    first = begin(row)
    assert first
    end(first)
    first.refresh_from_db()
    assert 0 < len(first.problem) <= journal.MAX_PROBLEM
    assert begin(row)


@pytest.mark.parametrize("state", ["sending", "accepted"])
def test_the_database_itself_holds_only_one(state: str) -> None:
    row = cycle()
    fields = {"values": {}, "hotkeys": {}, "sent_in_block": 1, "expires_in_block": 5}
    Submission.objects.create(weights_set=row, state=state, **fields)
    with pytest.raises(IntegrityError), transaction.atomic():
        Submission.objects.create(weights_set=row, state=state, **fields)
