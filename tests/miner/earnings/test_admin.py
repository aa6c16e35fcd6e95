"""The admin page of earnings."""

from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from tests.miner.earnings.documents import item
from tests.miner.earnings.rows import cycle, paid, scored

pytestmark = pytest.mark.django_db
PAGE = "/admin/earnings/"


def test_operators_see_what_the_command_prints(admin_client: Client) -> None:
    assert "nothing" in admin_client.get(PAGE).content.decode()
    cycle(1, hours_ago=3)
    cycle(2, hours_ago=1)
    paid(722, Decimal("1.5"))
    scored(722, item("always_on.test", "0.5", "<b>slow</b>"))
    newest = admin_client.get(PAGE).content.decode()
    assert "blocks 1444 to 2165" in newest
    assert "<td>1.5</td>" not in newest
    chosen = admin_client.get(PAGE, {"cycle": "722"}).content.decode()
    assert "<td>1.5</td>" in chosen
    assert "&lt;b&gt;slow&lt;/b&gt;: 3 jobs" in chosen
    assert admin_client.get(PAGE, {"cycle": "5"}).status_code == 404


def test_strangers_see_nothing(client: Client) -> None:
    assert client.get(PAGE).status_code == 302


def test_staff_see_the_page_and_its_link_with_a_permission_only(client: Client) -> None:
    user = User.objects.create_user("staff", is_staff=True)
    client.force_login(user)
    assert client.get(PAGE).status_code == 403
    assert PAGE not in client.get("/admin/").content.decode()
    user.user_permissions.add(Permission.objects.get(codename="view_cyclepay"))
    assert client.get(PAGE).status_code == 200
    assert PAGE in client.get("/admin/").content.decode()


def test_no_style_is_inline_where_the_policy_forbids_it(admin_client: Client) -> None:
    answer = admin_client.get(PAGE)
    page = answer.content.decode()
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "style=" not in page
    assert '<div class="scroll">' in page
    assert "compute_horde/pages.css" in page
