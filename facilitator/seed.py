"""The first rows: an admin, the validators and the users named in the settings."""

from django.contrib.auth import get_user_model

from facilitator.config import config
from facilitator.models import AllowedHotkey, Validator


def seed() -> None:
    """Make what is missing; harmless to repeat."""
    _admin(config.admin_user, config.admin_password.get_secret_value())
    for hotkey in config.validators:
        Validator.objects.get_or_create(hotkey=hotkey)
    for hotkey in config.allowed_hotkeys:
        AllowedHotkey.objects.get_or_create(hotkey=hotkey)


def _admin(name: str, password: str) -> None:
    if not name:
        return
    rights = {"is_staff": True, "is_superuser": True}
    user, _ = get_user_model().objects.get_or_create(username=name, defaults=rights)
    if not user.check_password(password):
        user.set_password(password)
        user.save()
