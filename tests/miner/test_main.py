"""The commands of `python -m miner`."""

from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from miner.jobs.models import Job
from miner.processes import SERVICE


@pytest.mark.django_db
def test_the_evict_command_deletes_old_rows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    long_ago = timezone.now() - timedelta(days=2)
    for number, since in enumerate((long_ago, timezone.now())):
        Job.objects.create(
            uuid=f"00000000-0000-4000-8000-00000000000{number}",
            state="completed",
            state_since=since,
            executor_token=str(number),
        )
    Job.objects.update(created_at=F("state_since"))
    SERVICE.main(["evict", "--days", "1"])
    assert "1 jobs" in capsys.readouterr().out
    assert Job.objects.count() == 1
