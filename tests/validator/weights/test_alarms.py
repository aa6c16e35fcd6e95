"""The operator sees in the admin, the metrics and the log when weights are in danger."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from compute_horde.cycles import cycle_at
from tests.validator.conftest import configured
from tests.validator.test_metrics import TOKEN
from validator.config import config
from validator.network.models import Snapshot
from validator.weights import alarms
from validator.weights.models import WeightsSet

pytestmark = pytest.mark.django_db

TEMPO = 9
CYCLE = cycle_at(1000, netuid=config.netuid, tempo=TEMPO)
CONFIG = configured(netuid=config.netuid)


def at(block: int) -> None:
    Snapshot.objects.create(block=block, tempo=TEMPO, neurons=0)


def trying(**fields) -> WeightsSet:
    return WeightsSet.objects.create(
        cycle_start=CYCLE.start, earned_in=CYCLE.start - 20, outcome="rate limit", **fields
    )


def test_all_is_well() -> None:
    at(CYCLE.start + 10)
    trying()
    assert alarms.status(CONFIG) == alarms.WeightsStatus((), None, is_window_in_danger=False)


def test_a_window_that_closes_without_weights_is_an_alarm() -> None:
    at(CYCLE.start + 18)
    row = trying()
    status = alarms.status(CONFIG)
    assert status.is_window_in_danger
    assert status.alarms == ("The window for weights closes in 2 blocks: rate limit",)
    row.state = WeightsSet.State.PUBLISHED
    row.save()
    assert not alarms.status(CONFIG).alarms


def test_three_epochs_without_weights_on_the_chain_are_an_alarm() -> None:
    row = trying(state="published", block=1000)
    at(1029)
    assert alarms.status(CONFIG).epochs_since_landing == 2
    assert not alarms.status(CONFIG).alarms
    at(1030)
    assert "for 3 epochs" in alarms.status(CONFIG).alarms[0]
    row.landing, row.landed_block = WeightsSet.Landing.LANDED, 1025
    row.save()
    assert not alarms.status(CONFIG).alarms


def test_a_chain_that_is_not_read_is_an_alarm() -> None:
    at(CYCLE.start)
    Snapshot.objects.update(taken_at=timezone.now() - timedelta(hours=1))
    assert "The chain was not read lately" in alarms.status(CONFIG).alarms[0]


def test_alarms_are_on_every_page_of_the_admin_and_only_there(
    admin_client: Client, client: Client
) -> None:
    for address in ("/admin/", "/admin/weights/weightsset/"):
        assert "The chain was not read lately" in admin_client.get(address).content.decode()
    assert "not read lately" not in client.get("/admin/login/").content.decode()


def test_the_metrics_tell_how_weights_are_doing(client: Client) -> None:
    at(1030)
    trying(state="published", block=1000)
    page = client.get("/metrics", headers=TOKEN).content.decode()
    assert "validator_weights_window_in_danger 0.0" in page
    assert "validator_epochs_since_weights_landed 3.0" in page
