"""What earlier probes found, and the faults of each batch, in the database."""

from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta

from django.utils import timezone

from validator.network.actions import ServingMiner
from validator.network.models import Neuron
from validator.synthetic.control.excusing import ReachedMiner
from validator.synthetic.control.faults import ControlFault, Target, TargetRecord
from validator.synthetic.models import Batch, BatchFault, ControlTarget

# What has not worked for so long is a mistake in the settings rather than a fault.
KNOWN_FOR = timedelta(days=1)
MAX_PROBLEM = 200


def known(targets: Iterable[Target]) -> dict[Target, TargetRecord]:
    """What earlier probes of these targets found."""
    rows = {(row.kind, row.name): row for row in ControlTarget.objects.all()}
    oldest = timezone.now() - KNOWN_FOR
    found = {}
    for target in targets:
        row = rows.get(_key(target))
        if row and row.worked_at and row.worked_at >= oldest:
            failing = (row.worked_at, row.problem) if row.problem else None
            found[target] = TargetRecord(row.worked_at, failing, row.failed_at)
    return found


def store_targets(records: Mapping[Target, TargetRecord]) -> None:
    """Store the newest result of each target; one that had none stays as it is."""
    now = timezone.now()
    rows = [
        ControlTarget(
            kind=_key(target)[0],
            name=target.name,
            worked_at=record.worked_at,
            problem=record.last.problem[:MAX_PROBLEM],
            failed_at=record.failed_at,
            probed_at=now,
        )
        for target, record in records.items()
        if record.last
    ]
    worked = [row for row in rows if row.worked_at]
    columns = ["problem", "failed_at", "probed_at"]
    for part, fields in ((rows, columns), (worked, ["worked_at"])):
        ControlTarget.objects.bulk_create(
            part, update_conflicts=True, unique_fields=["kind", "name"], update_fields=fields
        )


def store_faults(batch: Batch, faults: Iterable[ControlFault]) -> None:
    """Store the faults that were found while a batch ran."""
    BatchFault.objects.bulk_create(
        BatchFault(
            batch=batch,
            kind=fault.kind,
            target=fault.target,
            since=fault.since,
            until=fault.until,
            problem=fault.problem[:MAX_PROBLEM],
        )
        for fault in faults
    )


def reached_miners(miners: Collection[ServingMiner]) -> dict[str, ReachedMiner]:
    """The miners of a batch with their addresses and coldkeys."""
    owners = dict(Neuron.objects.filter(registered=True).values_list("hotkey", "coldkey"))
    return {
        one.hotkey: ReachedMiner(one.hotkey, one.host, owners.get(one.hotkey, ""), one.reported_at)
        for one in miners
    }


def _key(target: Target) -> tuple[str, str]:
    return (target.kind or "", target.name)
