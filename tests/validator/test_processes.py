"""The commands of `python -m validator`."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.conf import settings
from django.core.management import call_command
from django.utils import timezone
from django.utils.log import configure_logging

from validator.network.models import Snapshot
from validator.processes import SERVICE


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """A command sets up logging, to the standard error of its test."""
    yield
    configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)


def test_an_unknown_command_is_answered_with_the_known_ones() -> None:
    command = [sys.executable, "-m", "validator", "dance"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    own = "seed|evict|explain|export|formula|replay"
    assert f"web|listen|worker|beat|receipts|migrate|{own}|health|manage" in answer.stderr


def test_formulas_need_no_settings() -> None:
    command = [sys.executable, "-m", "validator", "formula"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env={})
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "horde_score " in answer.stdout


@pytest.mark.django_db
def test_eviction_can_be_ordered(capsys: pytest.CaptureFixture[str]) -> None:
    Snapshot.objects.create(block=1, tempo=1, neurons=1)
    Snapshot.objects.update(taken_at=timezone.now() - timedelta(days=2))
    SERVICE.main(["evict", "--days", "1"])
    assert "1 snapshots" in capsys.readouterr().out


@pytest.mark.django_db
def test_migrations_are_complete() -> None:
    assert call_command("makemigrations", "--check", "--dry-run", verbosity=0) is None


def test_each_process_needs_what_it_uses() -> None:
    needs = {one.name: {need.name for need in one.needs} for one in SERVICE.processes}
    assert needs == {
        "web": {"port", "database"},
        "listen": {"hotkey", "database"},
        "worker": {"hotkey", "database", "broker", "chain"},
        "beat": {"database", "broker"},
        "receipts": {"hotkey", "database"},
    }
    # Only the web server's process has the admin's apps.
    headless = {one.name for one in SERVICE.processes if one.settings.endswith("_headless")}
    assert headless == needs.keys() - {"web"}
