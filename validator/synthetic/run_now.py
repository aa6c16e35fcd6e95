"""The operator's button that runs a batch now: its preview, and what a worker does."""

from collections.abc import Sequence

from compute_horde.django.confirmed_action import (
    ConfirmedAction,
    Preview,
    PreviewTable,
    check_still_confirmed,
)
from validator.config import Config, config
from validator.network.actions import ServingMiner, latest_snapshot, serving_miners
from validator.operators.models import OperatorAction
from validator.operators.work import queue_for
from validator.synthetic import actions, attempts_table, selection
from validator.synthetic.models import Batch

TASK = "validator.synthetic.tasks.run_extra_batch"
# About five minutes: an extra batch that takes longer makes the planned one wait in its slot.
SOON_BLOCKS = 25


def preview(config: Config) -> Preview:
    """Which executors a batch would test now; nothing is stored and no miner is asked."""
    miners = serving_miners(config.hotkey.ss58_address, config.reach)
    manifests = {miner.hotkey: miner.manifest for miner in miners if miner.manifest}
    # The seed decides about answers, not about which executors are tested.
    chosen = selection.choose(Batch(block=0, seed=""), manifests, config)
    tested: dict[tuple[str, str], int] = {}
    for one in chosen.executors:
        place = one.hotkey, one.executor_class.value
        tested[place] = tested.get(place, 0) + 1
    rows = [
        (hotkey, kind.value, str(declared), str(tested.get((hotkey, kind.value), 0)))
        for hotkey, manifest in sorted(manifests.items())
        for kind, declared in sorted(manifest.items())
    ]
    facts = [
        ("miners", str(len({hotkey for hotkey, _ in tested}))),
        ("executors that are tested", str(len(chosen.executors))),
        *(("note", note) for note in chosen.notes),
        ("points", "they do not count: this batch belongs to no cycle"),
    ]
    return Preview(
        decided=sorted([hotkey, kind, count] for (hotkey, kind), count in tested.items()),
        facts=facts,
        tables=[
            PreviewTable("Executors", ("miner", "class", "declared", "tested"), rows),
            PreviewTable("Miners without executors", ("miner", "why"), _left_out(miners)),
        ],
        obstacles=list(_obstacles(config, has_executors=bool(tested))),
    )


def _left_out(miners: Sequence[ServingMiner]) -> list[tuple[str, str]]:
    why = "it has not reported which executors it has"
    return [(miner.hotkey, why) for miner in miners if not any(miner.manifest.values())]


def _obstacles(config: Config, *, has_executors: bool) -> Sequence[str]:
    found = []
    if not has_executors:
        found.append(
            "No miner that can be reached has declared an executor: look at the manifests, and "
            "whether VALIDATOR_ALLOWED_NETWORKS has the miners' addresses"
        )
    if running := Batch.objects.filter(state=Batch.State.RUNNING).first():
        found.append(
            f"Batch {running.pk} is running, and both would ask for the same executors: wait until "
            "it has ended"
        )
    if soon := _planned_soon(config):
        found.append(
            f"The batch of this cycle begins in block {soon.slot_block} and needs the executors, "
            "which this one might still have then: wait until it has ended"
        )
    return found


def _planned_soon(config: Config) -> Batch | None:
    """The planned batch whose slot begins within `SOON_BLOCKS`, or has begun."""
    snapshot = latest_snapshot(config.snapshot_lifetime)
    if snapshot is None:
        return None
    soon = snapshot.block + SOON_BLOCKS
    return Batch.objects.filter(state=Batch.State.PLANNED, slot_block__lte=soon).first()


def run(record: OperatorAction, config: Config) -> str:
    """Run the batch that was confirmed; how its attempts ended."""
    check_still_confirmed(record, preview(config))
    batch = actions.begin_extra(config)
    record.made(batch)
    actions.run_batch(batch, config)
    batch.refresh_from_db()
    problem = f": {batch.problem}" if batch.problem else ""
    return f"The batch is {batch.state}{problem}. Attempts: {attempts_table.by_outcome(batch)}"


RUN_BATCH = ConfirmedAction(
    name="run batch",
    title="Run a batch now",
    button="Run this batch",
    explanation=(
        "Tests the executors that miners declare, within the caps of the settings, at once and in "
        "no cycle: it earns miners nothing and costs them nothing."
    ),
    permission="synthetic.run_batch",
    records=OperatorAction,
    preview=lambda _: preview(config),
    queue=queue_for(TASK),
)
