"""Creating the first rows."""

from django.contrib.auth import get_user_model
from pydantic import SecretStr

from facilitator import seed
from facilitator.config import Config
from facilitator.models import AllowedHotkey, Validator


def configured(**changes) -> Config:
    required = {
        "secret_key": SecretStr("0123456789" * 5),
        "database_url": SecretStr("postgresql://x/y"),
    }
    return Config(**required | changes)


def test_seeding_twice_is_seeding_once(monkeypatch):
    settings = configured(
        admin_user="root",
        admin_password=SecretStr("first"),
        validators=["5V", "5W"],
        allowed_hotkeys=["5U"],
    )
    for _ in range(2):
        monkeypatch.setattr(seed, "config", settings)
        seed.seed()
    assert {"5V", "5W"} <= set(Validator.objects.values_list("hotkey", flat=True))
    assert AllowedHotkey.objects.filter(hotkey="5U").count() == 1
    admin = get_user_model().objects.get(username="root")
    assert admin.is_superuser
    assert admin.check_password("first")


def test_a_changed_password_is_taken_over_and_a_struck_off_validator_stays_so(monkeypatch):
    Validator.objects.update(is_active=False)
    hotkey = Validator.objects.get().hotkey
    for password in ("first", "second"):
        settings = configured(
            admin_user="root", admin_password=SecretStr(password), validators=[hotkey]
        )
        monkeypatch.setattr(seed, "config", settings)
        seed.seed()
    assert get_user_model().objects.get(username="root").check_password("second")
    assert not Validator.objects.get().is_active


def test_nobody_is_admin_unless_named(monkeypatch):
    monkeypatch.setattr(seed, "config", configured(admin_user=""))
    seed.seed()
    assert not get_user_model().objects.exists()


def test_lists_may_be_written_with_commas_or_as_json(monkeypatch):
    for text in ("5A,5B", " 5A , 5B ,", '["5A", "5B"]'):
        monkeypatch.setenv("FACILITATOR_VALIDATORS", text)
        assert configured().validators == ["5A", "5B"]
