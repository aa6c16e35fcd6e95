"""The first rows of a new database."""

import pytest
from django.contrib.auth import get_user_model
from pydantic import SecretStr

from miner.config import config
from miner.seed import seed
from miner.validators.models import Validator

pytestmark = pytest.mark.django_db(transaction=True)


def settings(**changes):
    return config.model_copy(update={"admin_user": "boss", "validators": ("a", "b")} | changes)


def test_seeding_twice_is_the_same_as_seeding_once():
    for _ in range(2):
        seed(settings(admin_password=SecretStr("secret")))
    user = get_user_model().objects.get()
    assert (user.username, user.is_superuser, user.check_password("secret")) == (
        "boss",
        True,
        True,
    )
    assert list(Validator.objects.values_list("hotkey", "active", "pinned")) == [
        ("a", True, True),
        ("b", True, True),
    ]


def test_a_new_password_is_taken_over():
    for password in ("old", "new"):
        seed(settings(admin_password=SecretStr(password)))
    assert get_user_model().objects.get().check_password("new")


def test_without_a_password_there_is_no_administrator():
    seed(settings(admin_password=None))
    assert not get_user_model().objects.exists()
