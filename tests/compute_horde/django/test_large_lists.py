"""Admin lists of large tables read a bounded number of rows."""

from uuid import uuid4

import pytest
from django.contrib.admin import AdminSite
from django.contrib.auth import get_user_model
from django.test import RequestFactory

from compute_horde.django import large_lists
from compute_horde.django.large_lists import LargeListAdmin
from tests.compute_horde.django.records.models import Job


class JobAdmin(LargeListAdmin):
    """A list of jobs in which UUIDs and notes are found in all rows."""

    list_display = ("uuid", "created_at", "note")
    list_filter = ("state", "created_at")
    search_fields = ("uuid", "note")
    exact_fields = ("uuid", "note")
    indexed_filters = ("created_at",)
    unlisted_fields = ("note",)


@pytest.fixture
def jobs() -> list[str]:
    """UUIDs of three jobs, the oldest first."""
    uuids = [str(uuid4()) for _ in range(3)]
    for uuid in uuids:
        Job.objects.create(uuid=uuid, state="sent", note="a note")
    return uuids


@pytest.fixture
def listed(rf: RequestFactory, monkeypatch: pytest.MonkeyPatch):
    """Opens the list with a query and searches in the newest two rows."""
    monkeypatch.setattr(large_lists, "SEARCHED_ROWS", 2)
    user = get_user_model().objects.create_superuser("root")

    def opened(**query: str):
        request = rf.get("/admin/", query)
        request.user = user
        return JobAdmin(Job, AdminSite()).get_changelist_instance(request)

    return opened


def uuids(page) -> list[str]:
    return [str(job.uuid) for job in page.result_list]


def test_all_rows_are_listed_newest_first(listed, jobs):
    assert uuids(listed()) == jobs[::-1]


def test_what_is_searched_is_looked_for_in_the_newest_rows(listed, jobs):
    assert uuids(listed(q="note")) == jobs[:0:-1]
    assert uuids(listed(state__exact="sent")) == jobs[:0:-1]


def test_what_an_index_finds_is_looked_for_in_all_rows(listed, jobs):
    assert uuids(listed(q=f" {jobs[0]}")) == jobs[:1]
    assert uuids(listed(q="a note")) == jobs[::-1]
    assert uuids(listed(created_at__gte="2000-01-01 00:00:00+00:00")) == jobs[::-1]


def test_beside_a_filter_that_leaves_few_rows_others_look_at_all_of_them(listed, jobs, monkeypatch):
    monkeypatch.setattr(JobAdmin, "bounding_filters", ("uuid",))
    monkeypatch.setattr(JobAdmin, "list_filter", ("state", "uuid"))
    assert uuids(listed(uuid__exact=jobs[0], state__exact="sent")) == jobs[:1]


def test_the_search_box_keeps_its_text(listed, jobs):
    assert listed(q=jobs[0]).query == jobs[0]


def test_rows_are_counted_to_a_limit(listed, jobs, monkeypatch):
    assert listed().result_count == 3
    monkeypatch.setattr(large_lists, "COUNTED_ROWS", 2)
    assert listed().result_count == 2


def test_long_columns_are_not_read(listed, jobs):
    assert all(job.get_deferred_fields() == {"note"} for job in listed().result_list)


def test_only_the_time_sorts(listed, jobs):
    assert list(listed().sortable_by) == ["created_at"]
