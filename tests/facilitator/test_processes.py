"""The commands of `python -m facilitator`."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.utils import timezone
from django.utils.log import configure_logging

from compute_horde.vocabulary import JobState
from facilitator import processes
from facilitator.config import config
from facilitator.models import Job, Validator
from facilitator.processes import SERVICE


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """A command sets up logging, to the standard error of its test."""
    yield
    configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)


def test_unknown_words_on_the_command_line_are_answered_with_the_known_ones():
    done = subprocess.run(
        [sys.executable, "-m", "facilitator", "dance"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "web|migrate|seed|evict|health|manage" in done.stderr


def test_the_web_server_needs_its_address_and_its_database():
    [web] = SERVICE.processes
    assert (web.name, [need.name for need in web.needs]) == ("web", ["port", "database"])
    assert SERVICE.port == config.port
    assert processes.listener.sockets == []


def test_seeding_makes_the_admin():
    SERVICE.main(["seed"])
    assert get_user_model().objects.get(username=config.admin_user).is_superuser


def ended(days_ago: int) -> Job:
    """A job that failed so many days ago."""
    then = timezone.now() - timedelta(days=days_ago)
    job = Job.objects.create(
        uuid=uuid4(),
        state=JobState.FAILED,
        state_since=then,
        validator=Validator.objects.get(),
        digest=str(days_ago),
        overdue_at=then,
    )
    Job.objects.filter(pk=job.pk).update(created_at=then)
    return job


def test_eviction_can_be_ordered(capsys):
    old, recent = ended(3), ended(1)
    SERVICE.main(["evict", "--days", "2"])
    assert capsys.readouterr().out == "deleted: 1 jobs\n"
    assert not Job.objects.filter(pk=old.pk).exists()
    assert Job.objects.get() == recent


def test_migrations_are_complete():
    assert call_command("makemigrations", "--check", "--dry-run", verbosity=0) is None
