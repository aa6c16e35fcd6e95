"""Creates the admin account, validators and users named in the settings."""

from compute_horde.django.admin_account import ensure_admin
from facilitator.config import config
from facilitator.models import AllowedHotkey, Validator


def seed() -> None:
    """Create missing rows; harmless to repeat."""
    ensure_admin(config.admin_user, config.admin_password.get_secret_value())
    for hotkey in config.validators:
        Validator.objects.get_or_create(hotkey=hotkey)
    for hotkey in config.allowed_hotkeys:
        AllowedHotkey.objects.get_or_create(hotkey=hotkey)
