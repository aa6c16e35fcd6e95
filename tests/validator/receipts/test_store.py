"""What the database keeps of fetched receipts."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError
from django.utils import timezone

from tests.peers.keys import MINER, OTHER_MINER, STRANGER, VALIDATOR
from tests.validator.receipts.published import expected, finished, line, started
from validator.network.models import Neuron
from validator.receipts import store
from validator.receipts.models import PageCheckpoint, Receipt, TransferCount, TransferStatus
from validator.receipts.store import Checkpoint, Count, CountName, PageProgress
from validator.receipts.verification import VerifiedReceipt, verify_line

pytestmark = pytest.mark.django_db

BOTH = frozenset({VALIDATOR.ss58_address, STRANGER.ss58_address})


def verified(text: bytes, **changes: object) -> VerifiedReceipt:
    return verify_line(text, expected(validators=BOTH, **changes))


def at(offset: int, page: int = 5) -> Checkpoint:
    return Checkpoint(MINER.ss58_address, "127.0.0.1:80", page, offset)


def checkpoints(oldest: int) -> list[Checkpoint]:
    return store.read_checkpoints(oldest, {MINER.ss58_address: "127.0.0.1:80"})


def test_receipts_and_their_checkpoint_are_stored_together() -> None:
    receipts = [verified(line()), verified(line(finished()))]
    assert store.record([PageProgress(at(100), receipts)]) == 2
    columns = [*VerifiedReceipt._fields]
    rows = [list(row) for row in Receipt.objects.order_by("id").values_list(*columns)]
    for row, receipt in zip(rows, receipts, strict=True):
        wanted = dict(zip(columns, receipt, strict=True))
        found = dict(zip(columns, row, strict=True))
        assert str(found.pop("job_uuid")) == wanted.pop("job_uuid")
        assert [bytes(found.pop(f"{who}_signature")) for who in ("validator", "miner")] == [
            wanted.pop(f"{who}_signature") for who in ("validator", "miner")
        ]
        score, wanted_score = found.pop("score"), wanted.pop("score")
        assert (score and f"{score:.6f}") == wanted_score
        assert found == wanted
    assert checkpoints(5) == [at(100)]
    assert checkpoints(6) == []


def test_when_receipts_cannot_be_stored_the_checkpoint_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store.record([PageProgress(at(100))])
    monkeypatch.setattr(store, "_INSERT", "no SQL %s")
    with pytest.raises(DatabaseError):
        store.record([PageProgress(at(200), [verified(line())])])
    assert checkpoints(0) == [at(100)]


def test_a_receipt_that_is_read_twice_is_stored_once() -> None:
    receipt = verified(line())
    assert store.record([PageProgress(at(1), [receipt, receipt])]) == 1
    assert store.record([PageProgress(at(2), [receipt])]) == 0
    assert Receipt.objects.count() == 1
    assert checkpoints(0) == [at(2)]


def test_of_two_receipts_of_a_type_the_first_counts() -> None:
    first, second = finished(score_str="1.000000"), finished(score_str="2.000000")
    second = second.model_copy(update={"job_uuid": first.job_uuid})
    store.record([PageProgress(at(1), [verified(line(first)), verified(line(second))])])
    assert [str(row.score) for row in Receipt.objects.all()] == ["1.000000"]


def test_nobody_takes_the_place_of_a_receipt_of_others() -> None:
    """A validator and a miner sign what they like, about a job of others."""
    true = finished(score_str="1.000000")
    by_other_validator = true.model_copy(
        update={"validator_hotkey": STRANGER.ss58_address, "score_str": "9.000000"}
    )
    by_other_miner = true.model_copy(
        update={"miner_hotkey": OTHER_MINER.ss58_address, "score_str": "9.000000"}
    )
    forged = [
        verified(line(by_other_validator, validator=STRANGER)),
        verified(line(by_other_miner, miner=OTHER_MINER), miner=OTHER_MINER.ss58_address),
    ]
    store.record([PageProgress(at(1), [*forged, verified(line(true))])])
    mine = Receipt.objects.get(
        miner_hotkey=MINER.ss58_address, validator_hotkey=VALIDATOR.ss58_address
    )
    assert (str(mine.score), Receipt.objects.count()) == ("1.000000", 3)


def test_one_row_that_the_database_refuses_costs_no_other() -> None:
    good = [verified(line()) for _ in range(3)]
    bad = good[0]._replace(job_uuid=str(started().job_uuid), payload="\0")
    assert store.record([PageProgress(at(1), [good[0], bad, good[1], good[2]])]) == 3
    assert Receipt.objects.count() == 3


def test_more_than_one_batch_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "BATCH_ROWS", 2)
    receipts = [verified(line()) for _ in range(5)]
    assert store.record([PageProgress(at(1), receipts[:3]), PageProgress(at(2), receipts[3:])]) == 5
    assert checkpoints(0) == [at(2)]


def test_a_page_that_is_given_up_stays_so() -> None:
    given_up = Checkpoint(MINER.ss58_address, "127.0.0.1:80", 5, 7, "rewritten")
    store.record([PageProgress(at(7))])
    store.record([PageProgress(given_up)])
    assert checkpoints(0) == [given_up]


def test_checkpoints_are_of_a_miner_and_an_address() -> None:
    others = [
        Checkpoint(OTHER_MINER.ss58_address, "127.0.0.1:80", 5, 2),
        Checkpoint(MINER.ss58_address, "127.0.0.1:81", 5, 3),
        at(4, page=6),
    ]
    store.record([PageProgress(one) for one in (at(1), *others)])
    assert PageCheckpoint.objects.count() == 4
    assert checkpoints(0) == [at(1), at(4, page=6)]


def test_receipts_are_counted_by_miner_and_hour() -> None:
    hour = datetime(2026, 1, 1, 5, tzinfo=UTC)
    dates = [hour, hour + timedelta(minutes=59, seconds=59.9), hour + timedelta(hours=1)]
    then = {"now": hour, "not_before": hour}
    receipts = [verified(line(started(timestamp=date)), **then) for date in dates]
    store.record([PageProgress(at(1), receipts)])
    number = int(hour.timestamp()) // 3600
    assert sorted(store.count_by_hour()) == [
        (MINER.ss58_address, number, 2),
        (MINER.ss58_address, number + 1, 1),
    ]


def test_validators_are_registered_and_have_stake() -> None:
    for uid, (hotkey, registered, stake) in enumerate(
        [("rich", True, 10), ("poor", True, 9), ("gone", False, 10)]
    ):
        Neuron.objects.create(
            hotkey=hotkey,
            uid=uid,
            stake_rao=stake,
            registered=registered,
            seen_at=timezone.now(),
        )
    assert store.known_validators("me", 10) == {"rich", "me"}
    assert store.known_validators("me", 0) == {"rich", "poor", "me"}


def test_counts_add_up_for_each_miner_and_for_all() -> None:
    error = CountName.LINE_ERRORS
    store.add_counts(Counter({Count("a", error, "not_json"): 2}), [], {})
    store.add_counts(
        Counter({Count("a", error, "not_json"): 1, Count("b", error, "not_json"): 4}),
        [_status("a", "timed_out")],
        {CountName.MINERS: 7},
    )
    store.add_counts(Counter(), [_status("a", "redirected")], {CountName.MINERS: 5})
    rows = TransferCount.objects.values_list("miner_hotkey", "name", "reason", "count")
    assert set(rows) == {
        ("a", "line_errors", "not_json", 3),
        ("b", "line_errors", "not_json", 4),
        ("", "line_errors", "not_json", 7),
        ("", "miners", "", 5),
    }
    assert TransferStatus.objects.get().problem == "redirected"


def _status(miner: str, problem: str) -> TransferStatus:
    return TransferStatus(
        miner_hotkey=miner, address="h:1", problem=problem, changed_at=timezone.now()
    )
