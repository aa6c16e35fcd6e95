"""The first rows of a fresh database; harmless to repeat."""

from django.contrib.auth import get_user_model

from validator.config import config
from validator.jobs import actions


def main() -> None:
    """The admin's account and the signers the environment names."""
    if config.admin_user:
        user, _ = get_user_model().objects.get_or_create(
            username=config.admin_user, defaults={"is_staff": True, "is_superuser": True}
        )
        user.is_staff = user.is_superuser = True
        user.set_password(config.admin_password.get_secret_value())
        user.save()
    actions.allow(config.allowed_signers, "from the environment")
