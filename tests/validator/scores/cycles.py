"""A cycle with a batch and a user's job in the database."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from django.utils import timezone

from compute_horde.adapters import chain_port
from compute_horde.cycles import Cycle, cycle_at
from compute_horde.faults import Culprit
from compute_horde.vocabulary import ReceiptType
from tests.peers.user import request
from validator.jobs import actions as jobs
from validator.jobs.models import Job
from validator.network.models import Fact, Neuron, ObservedBlocks, Snapshot
from validator.receipts.models import IssuedReceipt
from validator.synthetic.models import Batch, Puzzle

NETUID = 12
CYCLE = cycle_at(1000, netuid=NETUID, tempo=360)
BEGAN = timezone.now() - timedelta(hours=3)
TEST = "always_on.test"


def seen(*blocks: int) -> None:
    """The chain was seen at these blocks, 12 seconds each after the cycle began."""
    for block in blocks:
        row = Snapshot.objects.create(block=block, tempo=360, neurons=3)
        Snapshot.objects.filter(pk=row.pk).update(taken_at=at(block))


def at(block: int) -> datetime:
    return BEGAN + timedelta(seconds=12 * (block - CYCLE.start))


def registered(*hotkeys: str) -> None:
    for uid, hotkey in enumerate(hotkeys):
        Neuron.objects.create(
            hotkey=hotkey, coldkey=f"cold-{hotkey}", uid=uid, seen_at=timezone.now()
        )


def store_neurons(neurons: Iterable[chain_port.Neuron]) -> None:
    """Store the neurons as the validator does when it reads the chain."""
    rows = [
        Neuron(hotkey=one.hotkey, coldkey=one.coldkey, uid=one.uid, seen_at=timezone.now())
        for one in neurons
    ]
    Neuron.objects.exclude(hotkey__in=[row.hotkey for row in rows]).update(registered=False)
    Neuron.objects.bulk_create(rows, ignore_conflicts=True)


def offering(cycle: Cycle, **counts: int) -> None:
    """The effective manifests in a cycle, with executors of the class for tests."""
    ObservedBlocks.objects.create(
        stream=ObservedBlocks.Stream.MANIFESTS,
        first_block=cycle.start,
        last_block=cycle.stop - 1,
        last_at=BEGAN,
    )
    for hotkey, count in counts.items():
        for kind, item, value in (
            (Fact.Kind.NEURON, "", {"uid": 1, "coldkey": "cold", "permit": False}),
            (Fact.Kind.MANIFEST, TEST, count),
        ):
            Fact.objects.create(
                kind=kind,
                subject=hotkey,
                item=item,
                value=value,
                from_block=cycle.start,
                until_block=cycle.stop,
                began_at=BEGAN,
            )


def offered_to_validators(stakes: Mapping[str, int], *miners: str) -> None:
    """Ten executors of each of these miners, long before the cycle; stakes are in TAO."""
    first, last = CYCLE.start - 3000, CYCLE.stop + 180
    ObservedBlocks.objects.create(
        stream="chain", first_block=first, last_block=last, last_at=at(last)
    )
    values: list[tuple[str, str, str, object]] = []
    for uid, hotkey in enumerate((*miners, *stakes)):
        neuron = {"uid": uid, "coldkey": hotkey, "permit": hotkey in stakes}
        values.append(("neuron", hotkey, "", neuron))
        values.append(("stake", hotkey, "", stakes.get(hotkey, 0) * chain_port.RAO_PER_TAO))
    values += [("manifest", hotkey, TEST, 10) for hotkey in miners]
    Fact.objects.bulk_create(
        Fact(kind=kind, subject=who, item=item, value=value, from_block=first, began_at=at(first))
        for kind, who, item, value in values
    )


def batch(state: str = "done", cycle: Cycle = CYCLE) -> Batch:
    return Batch.objects.create(
        cycle_start=cycle.start, block=cycle.start, seed="s", state=state, alive_at=at(cycle.start)
    )


def attempt(of: Batch, hotkey: str, outcome: str = "correct", **fields) -> Puzzle:
    job = jobs.create_admin_job(request(signer=None), miner=hotkey)
    given = {
        "kind": "hash",
        "seed": "s",
        "executor_class": TEST,
        "points": int(outcome == "correct"),
        "blamed": Culprit.NOBODY if outcome == "correct" else Culprit.MINER,
        "finished_at": at(800),
    }
    return Puzzle.objects.create(
        batch=of, job=job, hotkey=hotkey, outcome=outcome, **(given | fields)
    )


def users_job(
    hotkey: str,
    block: int,
    *,
    seconds: int = 0,
    intervals: int = 0,
    signed_at: int | None = None,
    **fields,
) -> Job:
    """A user's job that ended at `block`, with the receipts of its work."""
    job = jobs.create_admin_job(request(signer=None), miner=hotkey)
    given = {"kind": Job.Kind.ORGANIC, "state": "completed", "miner": hotkey}
    given["executor_class"] = TEST
    Job.objects.filter(pk=job.pk).update(state_since=at(block), **(given | fields))
    kinds = [(ReceiptType.INTERVAL, number) for number in range(intervals)]
    for kind, number in [*kinds, (ReceiptType.FINISHED, 0)] if seconds else []:
        IssuedReceipt.objects.create(
            job_uuid=job.pk,
            receipt_type=kind,
            interval=number,
            miner_hotkey=hotkey,
            payload=f'{{"time_took_us": {seconds * 10**6}}}',
            signature="0x",
            issued_at=at(signed_at or block),
        )
    return job
