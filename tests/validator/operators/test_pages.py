"""The pages of cycles, charts and confirmed actions: who may see and do what."""

import re
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from compute_horde.django.confirmed_action import NotQueuedError
from tests.validator.operators import cycles
from tests.validator.scores.cycles import CYCLE
from validator import celery
from validator.network.models import Manifest, Neuron, Snapshot
from validator.operators.models import OperatorAction
from validator.synthetic.models import Batch

pytestmark = pytest.mark.django_db

RUN = "/admin/synthetic/batch/run/"
RECOMPUTE = f"/admin/scores/scoredcycle/{CYCLE.start}/recompute/"
SET = "/admin/weights/weightsset/set/"
BUTTONS = {
    RUN: "synthetic.run_batch",
    RECOMPUTE: "scores.recompute_scores",
    SET: "weights.set_weights",
}
VIEWS = ("synthetic.view_batch", "scores.view_scoredcycle", "weights.view_weightsset")


def staff(*permissions: str) -> Client:
    """A browser of somebody with these permissions."""
    user = User.objects.create_user(f"u{User.objects.count()}", is_staff=True)
    for one in permissions:
        app, codename = one.split(".")
        user.user_permissions.add(
            Permission.objects.get(content_type__app_label=app, codename=codename)
        )
    browser = Client()
    browser.force_login(user)
    return browser


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """The tasks that were given to the broker."""
    found: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(
        celery.app, "send_task", lambda name, given, **_: found.append((name, given))
    )
    return found


@pytest.fixture
def _executors() -> None:
    Neuron.objects.create(
        hotkey="alice", coldkey="c", uid=1, ip="1.1.1.1", port=8000, seen_at=timezone.now()
    )
    Manifest.objects.create(
        hotkey="alice", executor_class=cycles.TEST, count=2, heard_at=timezone.now()
    )


def form(page: str) -> dict[str, str]:
    """The key and digest of a page's form."""
    return dict(re.findall(r'name="(token|digest)" value="([^"]+)"', page))


@pytest.mark.parametrize("address", BUTTONS)
def test_a_button_is_for_those_with_its_permission(address: str) -> None:
    others = [one for one in BUTTONS.values() if one != BUTTONS[address]]
    stranger = staff(*others, *VIEWS)
    assert stranger.get(address).status_code == 403
    assert stranger.post(address, {"token": str(uuid4())}).status_code == 403
    assert Client().get(address).status_code == 302
    assert staff(BUTTONS[address]).get(address).status_code == 200
    assert staff(BUTTONS[address]).put(address).status_code == 405
    assert OperatorAction.objects.count() == 0


def test_no_button_is_shown_to_others() -> None:
    Snapshot.objects.create(block=CYCLE.start, tempo=360, neurons=0)
    scored = cycles.scored(CYCLE.start, {})
    lists = ("/admin/synthetic/batch/", "/admin/weights/weightsset/", "/admin/cycles/")
    pages = (
        *lists,
        f"/admin/cycles/{CYCLE.start}/",
        f"/admin/scores/scoredcycle/{scored.pk}/change/",
    )
    for browser, is_shown in ((staff(*VIEWS), False), (staff(*VIEWS, *BUTTONS.values()), True)):
        for page in pages:
            text = browser.get(page).content.decode()
            assert any(f'href="{address}"' in text for address in BUTTONS) == is_shown, page


@pytest.mark.usefixtures("_executors")
def test_a_confirmed_action_is_recorded_and_queued_once(sent: list[tuple[str, list[str]]]) -> None:
    browser = staff(BUTTONS[RUN], "operators.view_operatoraction")
    page = browser.get(RUN).content.decode()
    assert "alice" in page
    given = form(page)
    answers = [browser.post(RUN, given) for _ in range(2)]
    assert sent == [("validator.synthetic.tasks.run_extra_batch", [given["token"]])]
    row = OperatorAction.objects.get()
    assert (str(row.pk), row.digest, row.state) == (given["token"], given["digest"], "queued")
    assert row.user == User.objects.get().username
    assert row.preview["tables"][0]["rows"] == [["alice", cycles.TEST, "2", "2"]]
    shown = reverse("admin:operators_operatoraction_change", args=[row.pk])
    assert [answer.url for answer in answers] == [shown, shown]
    text = browser.get(shown).content.decode()
    assert 'http-equiv="refresh"' in text
    assert "It waits for a worker" in text
    assert "alice" in text


@pytest.mark.usefixtures("_executors")
def test_of_two_requests_at_once_one_is_queued(sent: list, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = staff(BUTTONS[RUN])
    given = form(browser.get(RUN).content.decode())
    first = OperatorAction.objects.create
    monkeypatch.setattr(
        OperatorAction.objects, "create", lambda **fields: first(**fields) and first(**fields)
    )
    answer = browser.post(RUN, given)
    assert answer.url.endswith(f"{given['token']}/change/")
    assert sent == []


@pytest.mark.usefixtures("_executors")
def test_a_second_operator_sees_that_the_same_is_under_way(sent: list) -> None:
    first, second = staff(BUTTONS[RUN]), staff(BUTTONS[RUN])
    page = form(second.get(RUN).content.decode())
    first.post(RUN, form(first.get(RUN).content.decode()))
    answer = second.post(RUN, page)
    assert answer.status_code == 409
    assert b"The same is under way" in answer.content
    assert b"The same is under way" in second.get(RUN).content
    assert len(sent) == 1


@pytest.mark.usefixtures("_executors")
def test_what_changed_since_the_preview_is_confirmed_anew(sent: list) -> None:
    browser = staff(BUTTONS[RUN])
    given = form(browser.get(RUN).content.decode())
    Manifest.objects.update(count=3)
    answer = browser.post(RUN, given)
    assert answer.status_code == 409
    assert b"has changed since" in answer.content
    again = form(answer.content.decode())
    assert again["token"] != given["token"]
    for bad in ({}, {"token": "x", "digest": again["digest"]}):
        assert browser.post(RUN, bad).status_code == 409
    assert sent == []
    assert browser.post(RUN, again).status_code == 302
    assert len(sent) == 1


def test_without_a_forgery_token_nothing_is_done() -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(User.objects.create_superuser("root"))
    assert browser.post(RUN, {"token": str(uuid4())}).status_code == 403
    assert OperatorAction.objects.count() == 0


def test_an_obstacle_leaves_no_button_and_refuses_the_form() -> None:
    browser = staff(BUTTONS[RUN])
    page = browser.get(RUN).content.decode()
    assert "It cannot be done now" in page
    assert form(page) == {}
    digest = "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"
    answer = browser.post(RUN, {"token": str(uuid4()), "digest": digest})
    assert answer.status_code == 409
    assert b"It cannot be done now" in answer.content
    assert OperatorAction.objects.count() == 0


@pytest.mark.usefixtures("_executors")
def test_an_action_that_no_worker_can_learn_of_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object, **__: object) -> None:
        raise NotQueuedError("no broker")

    monkeypatch.setattr(celery.app, "send_task", lost)
    browser = staff(BUTTONS[RUN])
    browser.post(RUN, form(browser.get(RUN).content.decode()))
    row = OperatorAction.objects.get()
    assert (row.state, row.result) == ("failed", "no broker")


def test_the_audit_links_to_what_was_made(admin_client: Client) -> None:
    made = cycles.batch(None, block=1)
    row = OperatorAction.objects.create(
        token=uuid4(), name="run batch", user="root", preview={}, state="done", result="well"
    )
    row.made(made)
    page = admin_client.get(reverse("admin:operators_operatoraction_change", args=[row.pk]))
    text = page.content.decode()
    assert f"/admin/synthetic/batch/{made.pk}/change/" in text
    assert 'http-equiv="refresh"' not in text
    assert b"well" in admin_client.get("/admin/operators/operatoraction/").content


@pytest.mark.parametrize(
    "page", ["/admin/cycles/", f"/admin/cycles/{CYCLE.start}/", "/admin/points/"]
)
def test_the_pages_are_for_those_who_may_see_what_they_show(page: str) -> None:
    Snapshot.objects.create(block=CYCLE.start, tempo=360, neurons=0)
    cycles.batch()
    assert staff(*VIEWS).get(page).status_code == 200
    assert staff(*VIEWS[1:]).get(page).status_code == 403
    assert Client().get(page).status_code == 302


def test_the_pages_of_cycles_lead_to_each_row(admin_client: Client) -> None:
    Snapshot.objects.create(block=CYCLE.stop, tempo=360, neurons=0)
    held = cycles.batch(problem="<b>broken</b>", state="failed")
    cycles.scored(CYCLE.start, {"alice": {cycles.TEST: "1"}})
    weights = cycles.weights(CYCLE.start, state="published", outcome="accepted")
    assert Batch.objects.count() == 1
    for page in ("/admin/cycles/", f"/admin/cycles/{CYCLE.start}/"):
        text = admin_client.get(page).content.decode()
        assert f"/admin/synthetic/batch/{held.pk}/change/" in text
        assert f"/admin/weights/weightsset/{weights.pk}/change/" in text
        assert "&lt;b&gt;broken" in text
    for address in re.findall(r'href="(/admin/(?:synthetic|receipts|scores)/[^"]+)"', text):
        # A filter that a list does not know would lead elsewhere.
        answer = admin_client.get(address.replace("&amp;", "&"))
        assert (address, answer.status_code) == (address, 200)
    assert admin_client.get("/admin/cycles/7/").status_code == 404
    older = admin_client.get("/admin/cycles/", {"before": CYCLE.start}).content.decode()
    assert f"/admin/cycles/{CYCLE.start}/" not in older
    assert admin_client.get("/admin/cycles/", {"before": "x"}).status_code == 200


def test_the_first_cycle_of_a_young_chain_begins_before_block_0(admin_client: Client) -> None:
    cycles.scored(-20, {})
    page = admin_client.get("/admin/cycles/").content.decode()
    assert 'href="/admin/cycles/-20/"' in page
    for address in ("/admin/cycles/-20/", "/admin/scores/scoredcycle/-20/recompute/"):
        assert admin_client.get(address).status_code == 200
    assert b"/cycles/-20/" not in admin_client.get("/admin/cycles/", {"before": "-20"}).content


def test_the_chart_s_numbers_are_in_the_page_as_data_and_as_a_table(admin_client: Client) -> None:
    assert b"There are no numbers yet" in admin_client.get("/admin/points/").content
    cycles.scored(CYCLE.start, {"alice": {cycles.TEST: "0.5"}})
    answer = admin_client.get("/admin/points/", {"cycles": "5"})
    text = answer.content.decode()
    assert '"values": [50.0]' in text
    assert "<td>50.0</td>" in text
    assert "data-chart=" in text
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
