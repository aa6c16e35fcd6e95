"""Creates the first rows of a new database; may be run again."""

import logging

from django.db import transaction

from compute_horde.django.admin_account import ensure_admin
from miner.config import Config
from miner.validators import actions

log = logging.getLogger(__name__)


def seed(config: Config) -> None:
    """Create or update the admin account and the pinned validators of the settings."""
    with transaction.atomic():
        if config.admin_password:
            ensure_admin(config.admin_user, config.admin_password.get_secret_value())
        actions.pin(config.validators)
    log.info("seeded", extra={"validators": len(config.validators)})
