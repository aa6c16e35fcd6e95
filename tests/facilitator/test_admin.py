"""What an operator can do in the admin."""

import pytest
from django.contrib.auth import get_user_model

from facilitator import actions
from facilitator.models import AllowedHotkey, Validator
from tests.facilitator.test_actions import order


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
    job, _ = actions.create(order(), "c")
    other, _ = actions.create(order(), "c")
    found = operator.get(f"/admin/facilitator/job/?q={job.uuid}").content.decode()
    assert str(job.uuid) in found
    assert str(other.uuid) not in found
    assert str(job.uuid) in operator.get("/admin/facilitator/job/?state=sent").content.decode()
    none = operator.get("/admin/facilitator/job/?state=failed").content.decode()
    assert str(job.uuid) not in none
    page = operator.get(f"/admin/facilitator/job/{job.uuid}/change/").content.decode()
    assert "V0JobStatusUpdate" in page


def test_what_happened_cannot_be_changed(operator):
    job, _ = actions.create(order(), "c")
    path = f"/admin/facilitator/job/{job.uuid}"
    assert operator.post(f"{path}/change/", {"state": "completed"}).status_code == 403
    assert operator.post(f"{path}/delete/", {"post": "yes"}).status_code == 403
    assert operator.get("/admin/facilitator/job/add/").status_code == 403


def test_every_list_can_be_searched(operator):
    for name in ("job", "validator", "allowedhotkey", "cheatreport"):
        assert operator.get(f"/admin/facilitator/{name}/?q=x").status_code == 200
