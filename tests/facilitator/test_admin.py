"""The operator's admin pages."""

import pytest
from django.contrib.auth import get_user_model

from compute_horde.django import large_lists
from facilitator.jobs import store
from facilitator.models import AllowedHotkey, Validator
from tests.facilitator.jobs.test_store import submission


@pytest.fixture
def operator(client):
    client.force_login(get_user_model().objects.create_superuser("root"))
    return client


def test_users_and_validators_can_be_added_and_struck_off(operator):
    operator.post("/admin/facilitator/allowedhotkey/add/", {"hotkey": "5U", "note": "me"})
    assert AllowedHotkey.objects.get(hotkey="5U").note == "me"
    operator.post("/admin/facilitator/validator/add/", {"hotkey": "5V", "is_active": "on"})
    operator.post("/admin/facilitator/validator/5V/change/", {"hotkey": "5V"})
    assert not Validator.objects.get(hotkey="5V").is_active
    operator.post("/admin/facilitator/allowedhotkey/5U/delete/", {"post": "yes"})
    assert not AllowedHotkey.objects.filter(hotkey="5U").exists()


def test_jobs_are_found_by_uuid_and_state_and_shown_with_their_statuses(operator):
    job, _ = store.create(submission(), "c")
    other, _ = store.create(submission(), "c")
    found = operator.get(f"/admin/facilitator/job/?q={job.uuid}").content.decode()
    assert str(job.uuid) in found
    assert str(other.uuid) not in found
    assert str(job.uuid) in operator.get("/admin/facilitator/job/?state=sent").content.decode()
    none = operator.get("/admin/facilitator/job/?state=failed").content.decode()
    assert str(job.uuid) not in none
    page = operator.get(f"/admin/facilitator/job/{job.uuid}/change/").content.decode()
    assert "V0JobStatusUpdate" in page


def test_what_happened_cannot_be_changed(operator):
    job, _ = store.create(submission(), "c")
    path = f"/admin/facilitator/job/{job.uuid}"
    assert operator.post(f"{path}/change/", {"state": "completed"}).status_code == 403
    assert operator.post(f"{path}/delete/", {"post": "yes"}).status_code == 403
    assert operator.get("/admin/facilitator/job/add/").status_code == 403


def test_every_list_can_be_searched(operator):
    for name in ("job", "validator", "allowedhotkey", "cheatreport"):
        assert operator.get(f"/admin/facilitator/{name}/?q=x").status_code == 200


def found(operator, query):
    """The UUIDs that a list of jobs shows."""
    rows = operator.get(f"/admin/facilitator/job/{query}").context["cl"].result_list
    return {str(job.uuid) for job in rows}


def test_filters_look_at_the_newest_jobs_and_whole_uuids_and_hotkeys_are_found_in_all(
    operator, monkeypatch
):
    monkeypatch.setattr(large_lists, "SEARCHED_ROWS", 2)
    jobs = [str(store.create(submission(tag="mine"), "c")[0].uuid) for _ in range(3)]
    hotkey = submission().hotkey
    assert found(operator, "?q=mine") == set(jobs[1:])
    assert found(operator, "?on_trusted_miner__exact=0") == set(jobs[1:])
    assert found(operator, f"?q={hotkey[:10]}") == set(jobs[1:])
    assert found(operator, f"?q={jobs[0]}") == {jobs[0]}
    assert found(operator, f"?q={hotkey}") == set(jobs)
    assert found(operator, "?state=sent") == set(jobs)
    assert found(operator, "") == set(jobs)


def test_a_long_list_is_counted_to_a_limit(operator, monkeypatch):
    monkeypatch.setattr(large_lists, "COUNTED_ROWS", 2)
    for _ in range(3):
        store.create(submission(), "c")
    assert operator.get("/admin/facilitator/job/").context["cl"].result_count == 2
