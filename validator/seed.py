"""Creates the first rows of a new database; may be run again."""

from compute_horde.django.admin_account import ensure_admin
from validator.config import config
from validator.jobs import actions


def seed() -> None:
    """Create the admin account and the allowed signers from the settings."""
    ensure_admin(config.admin_user, config.admin_password.get_secret_value())
    actions.allow_signers(config.allowed_signers, "from the environment")
