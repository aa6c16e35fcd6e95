"""What a fresh database needs: an administrator and the validators heard without the chain."""

import logging

from django.contrib.auth import get_user_model
from django.db import transaction

from miner.config import Config
from miner.validators import actions

log = logging.getLogger(__name__)


def seed(config: Config) -> None:
    """Create or update; harmless to repeat."""
    with transaction.atomic():
        if config.admin_password:
            _admin(config.admin_user, config.admin_password.get_secret_value())
        actions.pin(config.validators)
    log.info("seeded", extra={"validators": len(config.validators)})


def _admin(name: str, password: str) -> None:
    users = get_user_model()._default_manager
    user, _ = users.get_or_create(username=name)
    user.is_staff = user.is_superuser = user.is_active = True
    if not user.check_password(password):
        user.set_password(password)
    user.save()
