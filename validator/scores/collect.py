"""Collects the facts of a cycle from the database."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from uuid import UUID

from django.db.models import QuerySet

from compute_horde.cycles import (
    CYCLES_PER_DAY,
    NOMINAL_EPOCHS_PER_CYCLE,
    Cycle,
    cycle_at,
    peak_cycle,
)
from compute_horde.faults import Culprit
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.handshake import TRUSTED_MINER_HOTKEY
from compute_horde.vocabulary import JobState, ReceiptType
from validator.jobs.models import Job
from validator.network.history import network_at
from validator.network.main_hotkeys import main_hotkeys
from validator.network.models import Neuron, Snapshot
from validator.network.network_state import NetworkState, PastNeuron
from validator.network.tempos import cycle_length
from validator.receipts.models import IssuedReceipt
from validator.scores import rules
from validator.scores.allowances import AllowanceFacts, AllowanceRule, allowance_facts
from validator.scores.efficiencies import efficiencies, usual_seconds
from validator.scores.refusals import refused_jobs
from validator.scoring.facts import (
    MAX_COUNT,
    CycleFacts,
    ExecutorCount,
    JobOutcome,
    MainHotkeys,
    RegisteredMiner,
    WorkedJob,
)
from validator.scoring.parameters import DEFAULTS, FormulaName, ScoringParameters
from validator.synthetic.control.faults import DESCRIPTIONS, FaultKind
from validator.synthetic.models import Batch, Puzzle
from validator.synthetic.outcomes import Outcome
from validator.trusted_miner.findings import cheated_jobs

# Receipts are looked up for so many jobs at once.
JOBS_AT_ONCE = 5000


def collect(
    cycle: Cycle,
    netuid: int,
    parameters: ScoringParameters = DEFAULTS[FormulaName.JOBS],
    rule: AllowanceRule = AllowanceRule(),  # noqa: B008
) -> CycleFacts:
    """The facts of complete work, as far as this validator knows them.

    `cycle` are its blocks: those of a cycle, or after a change of the tempo what was not paid yet.

    What only one formula reads is there when `parameters` name that formula; `rule` says what
    counts for allowance.

    What was offered in the two last peak cycles is left out when either is not in the log: unknown
    sizes earn no bonus and no penalty. So it is for blocks that are no cycle of any tempo.
    """
    since, until = time_of(cycle.start), time_of(cycle.stop)
    formula, spending = parameters.formula, AllowanceFacts()
    found = [*_synthetic(cycle), *_organic(since, until)]
    if formula is FormulaName.SECONDS and since is not None:
        found += refused_jobs(cycle, since, until, rule)
    jobs = _with_seconds(found)
    state = network_at(cycle.stop - 1)
    peaks = _peaks(cycle, netuid)
    at_peaks = [network_at(one.stop - 1) for one in peaks]
    is_known = bool(peaks) and all(one.manifests_known_from is not None for one in at_peaks)
    peak_offered, previous_offered = (
        (tuple(_offered(one)) for one in at_peaks) if is_known else ((), ())
    )
    if formula is FormulaName.ALLOWANCE:
        spending = allowance_facts(cycle, parameters.allowance, rule)
    return CycleFacts(
        cycle_start=cycle.start,
        is_peak=not is_known or cycle.start == peaks[0].start,
        peak_offered=peak_offered,
        previous_peak_offered=previous_offered,
        miners=tuple(_miners(state)),
        jobs=tuple(sorted(jobs, key=lambda job: (job.at, job.job_uuid))),
        offered=tuple(_offered(state)),
        efficiencies=efficiencies(cycle) if formula is FormulaName.SECONDS else (),
        blocks=spending.blocks,
        manifests=spending.manifests,
        receipts=spending.receipts,
        main_hotkeys=tuple(_main_hotkeys(cycle)),
    )


def time_of(block: int) -> datetime | None:
    """When `block` came: when the chain was first seen at or after it; None when it was not."""
    seen = Snapshot.objects.filter(block__gte=block).order_by("block", "id").first()
    return seen.taken_at if seen else None


def _peaks(cycle: Cycle, netuid: int) -> tuple[Cycle, ...]:
    """The peak cycle of the testing day that `cycle` is in, and that of the day before.

    None for blocks that are no cycle of any tempo.
    """
    length = cycle.stop - cycle.start
    tempo = length // NOMINAL_EPOCHS_PER_CYCLE - 1
    if tempo < 1:
        return ()
    same = cycle_at(cycle.start, netuid=netuid, tempo=tempo)
    if (same.start, same.stop) != (cycle.start, cycle.stop):
        return ()
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
        *("job_id", "hotkey", "executor_class", "outcome", "excused", "blamed", "control_fault"),
        *("finished_at", "free_executors"),
    )
    for uuid, hotkey, name, ended_as, excused, blamed, fault, finished_at, free in attempts:
        outcome = rules.counts_as(
            Outcome(ended_as), Culprit(blamed), excused=excused, control_fault=fault
        )
        if outcome and (kind := ExecutorClass.known(name)):
            yield WorkedJob(
                str(uuid),
                hotkey,
                kind,
                outcome,
                at=_unix(finished_at),
                free_executors=min(free or 0, MAX_COUNT) if outcome is JobOutcome.REFUSED else 0,
                fault=DESCRIPTIONS[FaultKind(fault)] if fault else "",
            )


def organic_jobs(since: datetime, until: datetime | None) -> QuerySet[Job]:
    """The users' jobs that were completed in this time."""
    done = Job.objects.filter(
        kind=Job.Kind.ORGANIC, state=JobState.COMPLETED, state_since__gte=since
    )
    return done if until is None else done.filter(state_since__lt=until)


def _organic(since: datetime | None, until: datetime | None) -> Iterator[WorkedJob]:
    if since is None:
        return
    cheated = cheated_jobs(since)
    for uuid, hotkey, name, ended_at in organic_jobs(since, until).values_list(
        "uuid", "miner", "executor_class", "state_since"
    ):
        if hotkey and (kind := ExecutorClass.known(name)):
            yield WorkedJob(
                str(uuid),
                hotkey,
                kind,
                JobOutcome.CHEATED if uuid in cheated else JobOutcome.COMPLETED,
                is_organic=True,
                at=_unix(ended_at),
                is_trusted=hotkey == TRUSTED_MINER_HOTKEY,
            )


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
    """The jobs with what executors worked.

    A job that a control fault spares counts the mean time of the miner's completed synthetic jobs
    of the class, or else that of all miners' jobs.
    """
    worked = _worked_seconds([UUID(job.job_uuid) for job in jobs])
    found = [replace(job, seconds=worked.get(UUID(job.job_uuid), Fraction(0))) for job in jobs]
    done = JobOutcome.COMPLETED
    usual = usual_seconds(job for job in found if job.outcome is done and not job.is_organic)

    def usual_of(job: WorkedJob) -> Fraction:
        of_class = usual.get(job.executor_class, Fraction(0))
        return usual.get((job.hotkey, job.executor_class), of_class)

    spared = JobOutcome.SPARED
    return [replace(job, seconds=usual_of(job)) if job.outcome is spared else job for job in found]


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
                yield ExecutorCount(miner, kind, min(count, MAX_COUNT))


def _main_hotkeys(cycle: Cycle) -> Iterator[MainHotkeys]:
    """The main hotkeys that were named in the cycle and in the one before."""
    length = cycle_length(cycle.start) or cycle.stop - cycle.start
    now = main_hotkeys(cycle.start, cycle.stop)
    before = main_hotkeys(cycle.start - length, cycle.start)
    for coldkey in sorted(now.keys() | before.keys()):
        if coldkey:
            yield MainHotkeys(coldkey, now.get(coldkey), before.get(coldkey))


def _unix(moment: datetime | None) -> Fraction:
    """Unix time in seconds, to the millisecond."""
    return Fraction(0) if moment is None else Fraction(int(moment.timestamp() * 1000), 1000)
