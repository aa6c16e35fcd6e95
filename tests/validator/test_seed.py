"""Creating the first rows."""

import pytest
from django.contrib.auth import get_user_model

from validator import seed
from validator.config import config
from validator.jobs.models import AllowedSigner


@pytest.mark.django_db
def test_seeding_twice_is_harmless() -> None:
    for _ in range(2):
        seed.seed()
    admin = get_user_model().objects.get(username=config.admin_user)
    assert admin.is_superuser
    assert admin.check_password(config.admin_password.get_secret_value())
    signers = AllowedSigner.objects.values_list("hotkey", flat=True)
    assert list(signers) == config.allowed_signers
