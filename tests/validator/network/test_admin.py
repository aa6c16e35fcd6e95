"""The list of neurons."""

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

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
