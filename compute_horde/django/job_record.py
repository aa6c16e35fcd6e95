"""A job in a database: one row, its log of facts, and the only way to move it."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, ClassVar, Self

from django.db import connection, models, transaction
from django.utils import timezone

from compute_horde import lifecycle
from compute_horde.protocol.message import JobMessage, Message
from compute_horde.vocabulary import JobState

STATES = [(state.value, state.value) for state in JobState]


class JobRecord(models.Model):
    """Where a job stands. Only `hear` and `report` write `state`."""

    uuid = models.UUIDField(primary_key=True)
    state = models.CharField(max_length=32, choices=STATES, db_index=True)
    state_since = models.DateTimeField(default=timezone.now)
    created_at = models.DateTimeField(auto_now_add=True)

    events: ClassVar[Any]

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.uuid} {self.state}"

    @property
    def job_state(self) -> JobState:
        """`state` as the word it is."""
        return JobState(self.state)

    @property
    def is_final(self) -> bool:
        """Whether nothing more can happen to this job."""
        return self.job_state in lifecycle.FINAL

    @classmethod
    def hear(cls, *messages: JobMessage, **fields: Any) -> tuple[Self, list[Any]]:
        """Move one job by what was said of it, in one transaction; the row and the new events.

        The row is locked. A repeat changes nothing; a fact without a claim on the state is only
        logged; an impossible one raises `IllegalTransition` and nothing is written. `fields` are
        further columns to set when anything was new.
        """
        with transaction.atomic():
            job = cls._default_manager.select_for_update().get(pk=messages[0].job_uuid)
            fresh = [step for message in messages if (step := job._step(message))]
            return job, job._write(fresh, fields)

    @classmethod
    def report(
        cls,
        uuid: str,
        *told: tuple[JobState, Message],
        when: Mapping[JobState, datetime] = MappingProxyType({}),
        **owner: Any,
    ) -> tuple[Self, list[Any]]:
        """Like `hear`, for reported states that may have skipped others or come late.

        The new events are of the reports that were taken: a repeat, a second ending and a word of
        a newer peer, read as `unknown`, are left out. `when` tells at what time a state was heard,
        if not now. `owner` are columns the row must have; others are only read when asked for.
        """
        with transaction.atomic():
            rows = cls._default_manager.select_for_update().only("state", *owner)
            job = rows.get(pk=uuid, **owner)
            known = set(job.events.values_list("state", flat=True)) | {JobState.UNKNOWN}
            taken = [one for one in told if job._catch_up(one[0], known)]
            return job, job._write(taken, {}, when)

    def _catch_up(self, state: JobState, known: set[str]) -> bool:
        """Take a report of `state`, unless it is among the `known` ones or contradicts."""
        if state in known:
            return False
        try:
            self.state = lifecycle.catch_up(self.job_state, state)
        except lifecycle.IllegalTransition:
            return False
        known.add(state)
        return True

    def _step(self, message: JobMessage) -> tuple[JobState, Message] | None:
        claimed = lifecycle.CLAIMS.get(type(message))
        if claimed is None:
            return self.job_state, message
        if lifecycle.is_repeat(self.job_state, claimed):
            return None
        self.state = lifecycle.move(self.job_state, claimed)
        return claimed, message

    def _write(
        self,
        steps: Iterable[tuple[JobState, Message]],
        fields: dict[str, Any],
        when: Mapping[JobState, datetime] = MappingProxyType({}),
    ) -> list[Any]:
        steps = list(steps)
        if not steps:
            return []
        self.state_since = timezone.now()
        for name, value in fields.items():
            setattr(self, name, value)
        self.save(update_fields=["state", "state_since", *fields])
        event = self.events.model
        rows = [
            event(
                job_id=self.pk, state=s, body=m.encode(), created_at=when.get(s, self.state_since)
            )
            for s, m in steps
        ]
        return list(event._default_manager.bulk_create(rows))


class JobEvent(models.Model):
    """One fact about a job, in the order heard: audit log and outbox in one.

    `body` is the message as it went over the wire (text, since a JSON column cannot hold NUL).
    Concrete classes add the foreign key `job` with `related_name="events"`.
    """

    id = models.BigAutoField(primary_key=True)
    state = models.CharField(max_length=32, choices=STATES)
    body = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        abstract = True
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.created_at:%H:%M:%S.%f} {self.state}"


def notify(channel: str, payload: str = "") -> None:
    """Tell every listener of `channel` once the present transaction commits."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [channel, payload])
