"""The administrator's account is made once, and what it may is mended."""

import pytest
from django.contrib.auth import authenticate, get_user_model

from compute_horde.django.admin_account import ensure_admin


def test_the_account_is_made_once_and_has_the_newest_password():
    for password in ("first", "second", "second"):
        ensure_admin("root", password)
    user = get_user_model().objects.get()
    assert (user.username, user.is_staff, user.is_superuser) == ("root", True, True)
    assert authenticate(username="root", password="second") == user
    assert authenticate(username="root", password="first") is None


def test_rights_that_were_taken_away_are_given_back():
    users = get_user_model().objects
    users.create_user("root", password="x", is_active=False)
    ensure_admin("root", "x")
    user = users.get()
    assert (user.is_active, user.is_staff, user.is_superuser) == (True, True, True)


@pytest.mark.parametrize(("name", "password"), [("", "x"), ("root", ""), ("", "")])
def test_half_an_account_is_none(name, password):
    ensure_admin(name, password)
    assert not get_user_model().objects.exists()
