"""What probes found is known to the next batch."""

from datetime import timedelta

import pytest
from django.utils import timezone

from compute_horde.addresses import Reach
from compute_horde.django.database import in_database
from tests.peers.miner import MinerPeer
from tests.validator.conftest import LOOPBACK, remember
from tests.validator.synthetic.control.servers import ProbedServer, probed
from tests.validator.synthetic.test_actions import begun, configuration
from validator.network.actions import serving_miners
from validator.synthetic.control import checks, store
from validator.synthetic.control.faults import (
    ControlFault,
    FaultKind,
    Probed,
    Target,
    TargetRecord,
)
from validator.synthetic.models import BatchFault, ControlTarget

pytestmark = pytest.mark.django_db

TARGET = Target(FaultKind.REGISTRY, "registry.example")


def record(*problems: str, worked: timedelta | None = None) -> TargetRecord:
    now = timezone.now()
    made = TargetRecord(None if worked is None else now - worked)
    for problem in problems:
        made.add(Probed(now, now, problem))
    return made


def test_a_target_that_worked_lately_is_known() -> None:
    store.store_targets({TARGET: record("")})
    found = store.known([TARGET, Target(None, "other:1")])
    assert found.keys() == {TARGET}
    assert found[TARGET].failing is None
    store.store_targets({TARGET: record("refused", worked=timedelta(minutes=5))})
    found = store.known([TARGET])
    assert found[TARGET].failing == (found[TARGET].worked_at, "refused")
    # Not since it worked last: one failed probe is no failure of minutes.
    failed_at = found[TARGET].failed_at
    assert failed_at
    assert timezone.now() - failed_at < timedelta(minutes=1)
    store.store_targets({TARGET: record("")})
    assert store.known([TARGET])[TARGET].failed_at is None
    assert ControlTarget.objects.count() == 1


def test_what_has_not_worked_for_a_day_is_not() -> None:
    store.store_targets({TARGET: record("refused", worked=timedelta(days=2))})
    assert store.known([TARGET]) == {}


def test_a_target_that_never_worked_forgets_no_earlier_success() -> None:
    store.store_targets({TARGET: record("")})
    store.store_targets({TARGET: record("refused"), Target(None, "x:1"): TargetRecord()})
    row = ControlTarget.objects.get()
    assert row.worked_at is not None
    assert row.problem == "refused"


def test_the_faults_of_a_batch_are_stored() -> None:
    now = timezone.now()
    batch = begun()
    store.store_faults(batch, [ControlFault(FaultKind.LOAD, "this machine", now, now, "x" * 999)])
    row = BatchFault.objects.get()
    assert (row.batch, row.kind, len(row.problem)) == (batch, "load", 200)


def test_miners_are_known_with_their_owners() -> None:
    miner = MinerPeer()
    miner.port = 5000
    remember(miner)
    (serving,) = serving_miners("us", Reach(networks=LOOPBACK))
    (found,) = store.reached_miners([serving]).values()
    assert (found.hotkey, found.host, found.coldkey) == (miner.hotkey, "127.0.0.1", miner.hotkey)
    assert found.reported_at is None


@pytest.mark.django_db(transaction=True)
async def test_the_schedule_probes_what_the_settings_name() -> None:
    server = ProbedServer()
    async with probed(server):
        config = configuration(
            chain_url=f"ws://{server.address}",
            facilitator_url=f"ws://{server.address}/ws",
            hash_image=f"{server.address}/hash:v1",
            batch_kinds={},
        )
        await in_database(checks.probe_once, config)
    rows = await in_database(lambda: list(ControlTarget.objects.values_list("kind", "problem")))
    assert rows == [("", ""), ("chain", ""), ("registry", "")]
