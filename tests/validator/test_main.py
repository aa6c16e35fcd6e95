"""The commands of `python -m validator`."""

import os
import subprocess
import sys

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command

from validator import __main__, celery, seed
from validator.config import Config, config
from validator.jobs.models import AllowedSigner


def test_an_unknown_command_is_answered_with_the_known_ones() -> None:
    command = [sys.executable, "-m", "validator", "dance"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert "web|listen|migrate|seed|manage" in answer.stderr
    assert __main__.__doc__


@pytest.mark.django_db
def test_seeding_twice_is_harmless() -> None:
    for _ in range(2):
        seed.main()
    admin = get_user_model().objects.get(username=config.admin_user)
    assert admin.is_superuser
    assert admin.check_password(config.admin_password.get_secret_value())
    signers = AllowedSigner.objects.values_list("hotkey", flat=True)
    assert list(signers) == config.allowed_signers


@pytest.mark.django_db
def test_migrations_are_complete() -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


@pytest.mark.parametrize(
    ("text", "words"),
    [("a, b", ["a", "b"]), ('["a", "b"]', ["a", "b"]), ("", []), ("a", ["a"])],
)
def test_lists_in_the_environment_may_be_json_or_comma_separated(
    monkeypatch: pytest.MonkeyPatch, text: str, words: list[str]
) -> None:
    monkeypatch.setenv("VALIDATOR_ALLOWED_SIGNERS", text)
    assert Config().allowed_signers == words


def test_every_scheduled_task_exists() -> None:
    celery.app.loader.import_default_modules()
    assert set(celery.TASKS) <= set(celery.app.tasks)
    assert "VALIDATOR_DATABASE_URL" in os.environ
