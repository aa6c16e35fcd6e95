"""The page of a recorded action links to what the action made."""

from django.contrib.admin import AdminSite

from compute_horde.django.action_record_admin import ActionRecordAdmin
from tests.compute_horde.django.records.models import Action


def test_a_row_without_a_page_is_named_only() -> None:
    page = ActionRecordAdmin(Action, AdminSite())
    assert page.made_row(Action(result_row="records.job:7")) == "job 7"
    assert page.made_row(Action()) == "-"
    assert page.short_result(Action(result="x" * 200)) == "x" * 100
