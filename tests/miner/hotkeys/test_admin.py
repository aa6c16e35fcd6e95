"""The admin page that changes the main hotkey."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.exceptions import PermissionDenied
from django.test import RequestFactory

from compute_horde.cycles import Cycle
from miner.config import config
from miner.hotkeys import actions
from miner.hotkeys.admin import MainHotkeyForm, main_hotkey_page
from miner.hotkeys.models import MainHotkeyOrder
from miner.wiring import Miner
from tests.miner.conftest import MINER, SETTINGS, STRANGER

pytestmark = pytest.mark.django_db

OTHER = STRANGER.ss58_address


@pytest.fixture
def ask(admin_user: User, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sends a request of an operator; the response."""
    monkeypatch.setattr("miner.hotkeys.admin.messages.success", lambda *_: None)
    miner = Miner(config.model_copy(update=SETTINGS | {"main_hotkeys": ()}), MINER)

    def send(user: User = admin_user, **data: str) -> Any:
        factory = RequestFactory()
        request = factory.post("/", data) if data else factory.get("/")
        request.user, request.session = user, {}
        request.scope = {"miner": miner}
        answer = main_hotkey_page(request)
        return answer.render() if hasattr(answer, "render") else answer

    return send


def test_an_order_holds_from_the_next_cycle_on_and_names_who_gave_it(ask: Any) -> None:
    actions.begin_cycle(Cycle(0, 722, 0), actions.MainHotkeySchedule((MINER.ss58_address,)))
    assert "from block 722 on" in ask().content.decode()
    assert ask(hotkey=OTHER).status_code == 302
    given = MainHotkeyOrder.objects.get()
    assert (given.hotkey, given.from_block, given.ordered_by) == (OTHER, 722, "admin")
    assert ask(hotkey=OTHER, at_once="on").status_code == 302
    page = ask().content.decode()
    assert f"The main hotkey is <strong>{OTHER}</strong>" in page
    assert "by order of the operator" in page


def may(*codenames: str) -> User:
    """An account of staff that has these permissions."""
    user = User.objects.create_user(f"may {codenames}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return user


def test_the_page_and_its_form_each_need_a_permission(ask: Any) -> None:
    for user in (may(), may("add_mainhotkeyorder")):
        with pytest.raises(PermissionDenied):
            ask(user)
    looking = may("view_mainhotkeyorder")
    page = ask(looking).content.decode()
    assert "The main hotkey is" in page
    assert "<form method" not in page.replace('<form id="logout-form" method', "")
    with pytest.raises(PermissionDenied):
        ask(looking, hotkey=OTHER)
    assert not MainHotkeyOrder.objects.exists()
    ordering = may("view_mainhotkeyorder", "add_mainhotkeyorder")
    assert '<form method="post">' in ask(ordering).content.decode()
    assert ask(ordering, hotkey=OTHER).status_code == 302
    assert MainHotkeyOrder.objects.get().hotkey == OTHER


def test_what_is_no_hotkey_is_refused(ask: Any) -> None:
    page = ask(hotkey="5Mistyped").content.decode()
    assert "an address has 48" in page
    assert not MainHotkeyOrder.objects.exists()
    assert not MainHotkeyForm({"hotkey": "x" * 65}).is_valid()
    assert MainHotkeyForm({"hotkey": " "}).is_valid()
