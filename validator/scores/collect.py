"""Collects the facts of a cycle from the database."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from uuid import UUID

from django.db.models import QuerySet

from compute_horde.cycles import CYCLES_PER_DAY, NOMINAL_EPOCHS_PER_CYCLE, Cycle, peak_cycle
from compute_horde.faults import Culprit
from compute_horde.hardware import ExecutorClass
from compute_horde.vocabulary import JobState, ReceiptType
from validator.jobs.models import Job
from validator.network.history import network_at
from validator.network.models import Neuron, Snapshot
from validator.network.network_state import NetworkState, PastNeuron
from validator.receipts.models import IssuedReceipt
from validator.scores import rules
from validator.scoring.facts import (
    CycleFacts,
    ExecutorCount,
    JobOutcome,
    RegisteredMiner,
    WorkedJob,
)
from validator.synthetic.models import Batch, Puzzle
from validator.synthetic.outcomes import Outcome

# Receipts are looked up for so many jobs at once.
JOBS_AT_ONCE = 5000


def collect(cycle: Cycle, netuid: int) -> CycleFacts:
    """The facts of a complete cycle, as far as this validator knows them.

    What was offered in the two last peak cycles is left out when either is not in the log: unknown
    sizes earn no bonus and no penalty.
    """
    since, until = time_of(cycle.start), time_of(cycle.stop)
    jobs = _with_seconds([*_synthetic(cycle), *_organic(since, until)])
    state = network_at(cycle.stop - 1)
    peak, previous = _peaks(cycle, netuid)
    at_peaks = [network_at(one.stop - 1) for one in (peak, previous)]
    is_known = all(one.manifests_known_from is not None for one in at_peaks)
    peak_offered, previous_offered = (tuple(_offered(one)) for one in at_peaks)
    return CycleFacts(
        cycle_start=cycle.start,
        is_peak=cycle.start == peak.start or not is_known,
        peak_offered=peak_offered if is_known else (),
        previous_peak_offered=previous_offered if is_known else (),
        miners=tuple(_miners(state)),
        jobs=tuple(sorted(jobs, key=lambda job: (job.at, job.job_uuid))),
        offered=tuple(_offered(state)),
    )


def time_of(block: int) -> datetime | None:
    """When `block` came: when the chain was first seen at or after it; None when it was not."""
    seen = Snapshot.objects.filter(block__gte=block).order_by("block", "id").first()
    return seen.taken_at if seen else None


def _peaks(cycle: Cycle, netuid: int) -> tuple[Cycle, Cycle]:
    """The peak cycle of the testing day that `cycle` is in, and that of the day before."""
    length = cycle.stop - cycle.start
    tempo = length // NOMINAL_EPOCHS_PER_CYCLE - 1
    peak = peak_cycle(cycle.start, netuid=netuid, tempo=tempo)
    before = peak.start - CYCLES_PER_DAY * length
    return peak, peak_cycle(before, netuid=netuid, tempo=tempo)


def _synthetic(cycle: Cycle) -> Iterator[WorkedJob]:
    """The attempts of the cycle's batch.

    Of each batch whose cycle began in this one, that is: it began elsewhere if the subnet's owner
    changed the tempo since.
    """
    attempts = Puzzle.objects.filter(
        batch__cycle_start__gte=cycle.start,
        batch__cycle_start__lt=cycle.stop,
        batch__state=Batch.State.DONE,
    ).values_list(
        "job_id", "hotkey", "executor_class", "outcome", "excused", "blamed", "finished_at"
    )
    for uuid, hotkey, name, ended_as, excused, blamed, finished_at in attempts:
        outcome = rules.counts_as(Outcome(ended_as), Culprit(blamed), excused=excused)
        if outcome and (kind := ExecutorClass.known(name)):
            yield WorkedJob(str(uuid), hotkey, kind, outcome, at=_unix(finished_at))


def organic_jobs(since: datetime, until: datetime | None) -> QuerySet[Job]:
    """The users' jobs that were completed in this time."""
    done = Job.objects.filter(
        kind=Job.Kind.ORGANIC, state=JobState.COMPLETED, state_since__gte=since
    )
    return done if until is None else done.filter(state_since__lt=until)


def _organic(since: datetime | None, until: datetime | None) -> Iterator[WorkedJob]:
    if since is None:
        return
    done = JobOutcome.COMPLETED
    for uuid, hotkey, name, ended_at in organic_jobs(since, until).values_list(
        "uuid", "miner", "executor_class", "state_since"
    ):
        if hotkey and (kind := ExecutorClass.known(name)):
            yield WorkedJob(str(uuid), hotkey, kind, done, is_organic=True, at=_unix(ended_at))


def _worked_seconds(jobs: Sequence[UUID]) -> dict[UUID, Fraction]:
    """How long the executors of completed jobs worked, by the receipts this validator signed.

    A finished receipt counts for the whole job, whenever it was signed and however many interval
    receipts came before it.
    """
    worked: dict[UUID, Fraction] = {}
    for start in range(0, len(jobs), JOBS_AT_ONCE):
        issued = IssuedReceipt.objects.filter(
            receipt_type=ReceiptType.FINISHED, job_uuid__in=jobs[start : start + JOBS_AT_ONCE]
        ).values_list("job_uuid", "payload")
        for uuid, payload in issued:
            worked[uuid] = Fraction(json.loads(payload)["time_took_us"] // 1000, 1000)
    return worked


def _with_seconds(jobs: Sequence[WorkedJob]) -> list[WorkedJob]:
    worked = _worked_seconds([UUID(job.job_uuid) for job in jobs])
    return [replace(job, seconds=worked.get(UUID(job.job_uuid), Fraction(0))) for job in jobs]


def _miners(state: NetworkState) -> Iterator[RegisteredMiner]:
    """The neurons at the end of the cycle; those of now, when that time is not in the log."""
    neurons: Iterable[PastNeuron | Neuron] = state.neurons.values()
    if not state.neurons:
        neurons = Neuron.objects.filter(registered=True)
    for one in sorted(neurons, key=lambda neuron: neuron.uid):
        yield RegisteredMiner(one.hotkey, one.uid, one.coldkey)


def _offered(state: NetworkState) -> Iterator[ExecutorCount]:
    """The effective manifests at the end of the cycle."""
    for miner, counts in sorted(state.manifests.items()):
        for name, count in sorted(counts.items()):
            if kind := ExecutorClass.known(name):
                yield ExecutorCount(miner, kind, count)


def _unix(moment: datetime | None) -> Fraction:
    """Unix time in seconds, to the millisecond."""
    return Fraction(0) if moment is None else Fraction(int(moment.timestamp() * 1000), 1000)
