"""What the operator must know about weights now: for the admin, the metrics and the log."""

from dataclasses import dataclass

from django.http import HttpRequest

from compute_horde.cycles import cycle_at
from validator.config import Config, config
from validator.network.actions import latest_snapshot
from validator.weights import landing, rules
from validator.weights.models import WeightsSet

NOT_READ = (
    "The chain was not read lately, so no weights can be set: is the worker running, and the node "
    "reachable?"
)


@dataclass(frozen=True, slots=True)
class WeightsStatus:
    """How weights are doing.

    `epochs_since_landing`: for how many epochs the chain took none of ours; None when none were
    ever accepted. `is_window_in_danger`: the window closes soon and they are not accepted.
    """

    alarms: tuple[str, ...]
    epochs_since_landing: int | None
    is_window_in_danger: bool


def status(config: Config) -> WeightsStatus:
    """The present status, from the database alone."""
    snapshot = latest_snapshot(config.snapshot_lifetime)
    if snapshot is None:
        return WeightsStatus((NOT_READ,), None, is_window_in_danger=False)
    alarms = []
    cycle = cycle_at(snapshot.block, netuid=config.netuid, tempo=snapshot.tempo)
    window = rules.window(cycle)
    row = WeightsSet.objects.filter(cycle_start=cycle.start, state=WeightsSet.State.TRYING).first()
    is_open = snapshot.block in window
    in_danger = bool(row) and is_open and rules.is_in_danger(window, snapshot.block)
    if row and in_danger:
        left = window.stop - snapshot.block
        alarms.append(f"The window for weights closes in {left} blocks: {row.outcome or 'no try'}")
    epochs = landing.epochs_since_landing(snapshot.block, snapshot.tempo)
    if epochs is not None and epochs >= landing.ALARM_EPOCHS:
        alarms.append(
            f"No weights of ours landed on the chain for {epochs} epochs: see the weights of the "
            "last cycles for the reasons"
        )
    return WeightsStatus(tuple(alarms), epochs, is_window_in_danger=in_danger)


def in_templates(request: HttpRequest) -> dict[str, tuple[str, ...]]:
    """The alarms, for every page of the admin."""
    if not request.path.startswith("/admin/") or not request.user.is_authenticated:
        return {}
    return {"weight_alarms": status(config).alarms}
