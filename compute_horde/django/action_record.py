"""The audit row of an operator's action: who confirmed what and when, and how it ended.

A worker does the work, in no request of a browser. Its row is queued first, so that nothing is done
of which no row tells, and its key is made with the page that the operator confirms, so that a page
that is sent twice is done once.
"""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

from django.db import models
from django.utils import timezone

from compute_horde.errors import ComputeHordeError

log = logging.getLogger(__name__)

# An action takes minutes. What has not ended after this time never will: its worker died.
LOST_AFTER = timedelta(hours=1)
MAX_RESULT = 2000


class ActionRecord(models.Model):
    """One confirmed action; each service makes a table of it.

    `preview` is what the operator saw when confirming, `digest` that of what was decided by it.
    `result_row` is the row that the action made, as `app.model:key`, or empty.
    """

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    token = models.UUIDField(primary_key=True)
    name = models.CharField(max_length=64, help_text="which button")
    subject = models.CharField(max_length=64, blank=True, help_text="such as a cycle")
    user = models.CharField(max_length=150)
    preview = models.JSONField()
    digest = models.CharField(max_length=64, help_text="SHA-256 of what was confirmed")
    state = models.CharField(max_length=16, choices=State, default=State.QUEUED)
    asked_at = models.DateTimeField(auto_now_add=True, db_index=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    result = models.TextField(blank=True)
    result_row = models.CharField(max_length=128, blank=True)

    class Meta:
        abstract = True
        ordering = ["-asked_at"]

    def __str__(self) -> str:
        return f"{self.name} {self.subject}".rstrip() + f": {self.state}"

    @property
    def is_open(self) -> bool:
        """Whether it has not ended yet."""
        return self.state in (self.State.QUEUED, self.State.RUNNING)

    def made(self, row: models.Model) -> None:
        """Store which row the action made, for its page to link to."""
        self.result_row = f"{row._meta.label_lower}:{row.pk}"
        self.save(update_fields=["result_row"])

    def end(self, state: str, result: str) -> None:
        """Store how it ended."""
        self.state, self.result, self.ended_at = state, result[:MAX_RESULT], timezone.now()
        self.save(update_fields=["state", "result", "ended_at"])


Record = TypeVar("Record", bound=ActionRecord)


def close_lost(records: models.QuerySet[Record]) -> int:
    """End the actions that no worker can be at any more. Returns how many."""
    states = ActionRecord.State
    return records.filter(
        state__in=(states.QUEUED, states.RUNNING), asked_at__lt=timezone.now() - LOST_AFTER
    ).update(
        state=states.FAILED,
        ended_at=timezone.now(),
        result="No worker ended it: it died or none was running. Look at what it did, then repeat",
    )


def run(records: models.QuerySet[Record], token: str, work: Callable[[Record], str]) -> None:
    """Do the work of a queued action and store its result; a second delivery does nothing.

    A refusal, that is a `ComputeHordeError`, is stored as the result. Other failures are stored by
    their class, and raised.
    """
    key = UUID(token)
    states = ActionRecord.State
    queued = records.filter(pk=key, state=states.QUEUED)
    if not queued.update(state=states.RUNNING, started_at=timezone.now()):
        return
    record = records.get(pk=key)
    try:
        result = work(record)
    except ComputeHordeError as exc:
        record.end(states.FAILED, str(exc))
    except BaseException as exc:
        record.end(states.FAILED, f"{type(exc).__name__}: {exc}; see the worker's log")
        raise
    else:
        record.end(states.DONE, result)
    log.info("action ended", extra={"action": record.name, "state": record.state})
