"""Rows written by processes are not edited by hand."""

import pytest
from django.test import Client
from django.urls import reverse

from validator.network.models import Snapshot

pytestmark = pytest.mark.django_db


def test_a_row_can_be_seen_but_not_changed(admin_client: Client) -> None:
    row = Snapshot.objects.create(block=7, tempo=9, neurons=1)
    page = reverse("admin:network_snapshot_change", args=[row.pk])
    assert b"7" in admin_client.get(page).content
    assert admin_client.post(page, {"block": 8}).status_code == 403
    for name, args in (("add", []), ("delete", [row.pk])):
        url = reverse(f"admin:network_snapshot_{name}", args=args)
        assert admin_client.get(url).status_code == 403
