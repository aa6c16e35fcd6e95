"""The pages of neurons and of the change log."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from compute_horde.hardware import ExecutorClass
from tests.validator.chains import FakeChain, neuron
from validator.network import actions
from validator.network.manifest_store import store_manifest
from validator.network.models import Manifest, Neuron

pytestmark = pytest.mark.django_db

LIST = "/admin/network/neuron/"


def add_neuron(uid: int) -> None:
    Neuron.objects.create(
        hotkey=f"5M{uid}", coldkey="c", uid=uid, ip="1.2.3.4", port=1, stake_rao=0,
        registered=True, seen_at=timezone.now(),
    )  # fmt: skip
    for executor_class in ("spin_up-4min.gpu-24gb", "always_on.test"):
        Manifest.objects.create(
            hotkey=f"5M{uid}", executor_class=executor_class, count=2, heard_at=timezone.now()
        )


def test_the_list_shows_what_each_miner_offers_with_no_query_per_row(
    admin_client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for uid in range(10):
        add_neuron(uid)
    with django_assert_max_num_queries(8):
        page = admin_client.get(LIST).content
    assert page.count(b"2 x always_on.test, 2 x spin_up-4min.gpu-24gb") == 10


def test_the_page_of_a_neuron_shows_its_manifests_and_its_changes(
    admin_client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    chain = FakeChain(block=100, neurons=[neuron(0, "a", ip="192.0.2.1", port=8000)])
    store_manifest("a", {ExecutorClass.always_on__test: 4}, timedelta(hours=2))
    actions.refresh_metagraph(chain)
    chain.block, chain.neurons = 110, [neuron(0, "a", ip="192.0.2.7", port=8000)]
    actions.refresh_metagraph(chain)
    store_manifest("a", {ExecutorClass.always_on__test: 3}, timedelta(hours=2))
    with django_assert_max_num_queries(20):
        page = admin_client.get(f"{LIST}a/change/").content.decode()
    for expected in (
        "4 of always_on.test, since ",
        "pending: 3 of always_on.test, reported at ",
        "manifest always_on.test: 4",
        "address: ip 192.0.2.7, port 8000, was ip 192.0.2.1, port 8000",
    ):
        assert expected in page


@pytest.mark.parametrize("model", ["fact", "observedblocks", "manifeststatus", "manifest"])
def test_the_lists_of_the_log_open(admin_client: Client, model: str) -> None:
    store_manifest("a", {ExecutorClass.always_on__test: 4}, timedelta(hours=2))
    actions.refresh_metagraph(FakeChain(block=100, neurons=[neuron(0, "a")]))
    page = admin_client.get(f"/admin/network/{model}/")
    assert page.status_code == 200
    assert b"field-" in page.content
    assert admin_client.get(f"/admin/network/{model}/?q=a").status_code == 200
