"""Rows that processes write can be seen in the admin and not be touched, even by its owner."""

import pytest
from django.contrib.admin import AdminSite, TabularInline
from django.contrib.auth import get_user_model
from django.test import RequestFactory

from compute_horde.django.read_only_admin import ReadOnly, ReadOnlyAdmin
from tests.compute_horde.django.records.models import Job, JobEvent


class Events(ReadOnly, TabularInline):
    """The events on a job's page."""

    model = JobEvent


@pytest.fixture
def request_of_root(rf: RequestFactory):
    request = rf.post("/admin/")
    request.user = get_user_model().objects.create_superuser("root")
    return request


@pytest.mark.parametrize(("page", "model"), [(ReadOnlyAdmin, Job), (Events, Job)])
def test_a_superuser_may_look_and_nothing_else(page, model, request_of_root):
    shown = page(model, AdminSite())
    assert shown.has_view_permission(request_of_root)
    for may in (
        shown.has_add_permission(request_of_root, None),
        shown.has_change_permission(request_of_root, Job()),
        shown.has_delete_permission(request_of_root, Job()),
    ):
        assert may is False


def test_no_action_of_a_list_deletes_rows(request_of_root):
    assert ReadOnlyAdmin(Job, AdminSite()).get_actions(request_of_root) == {}
