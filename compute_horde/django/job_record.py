"""A job in a database: one row, its events, and the only methods that change its state."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, ClassVar, Self

from django.contrib.postgres.expressions import ArraySubquery
from django.db import connection, models, transaction
from django.db.models import OuterRef
from django.db.models.expressions import DatabaseDefault
from django.utils import timezone
from psycopg.sql import SQL, Composed, Identifier, Placeholder

from compute_horde import lifecycle
from compute_horde.protocol.message import JobMessage, Message
from compute_horde.vocabulary import JobState

# A state and the message that reports it.
Step = tuple[JobState, Message]

STATES = [(state.value, state.value) for state in JobState]


class JobRecord(models.Model):
    """Where a job stands.

    `state` is written by the methods below, and by the validator's `store.record`, which adds
    receipts in the same statement; all of them ask `lifecycle`. Concrete classes index it.
    """

    uuid = models.UUIDField(primary_key=True)
    state = models.CharField(max_length=32, choices=STATES)
    state_since = models.DateTimeField(default=timezone.now)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    events: ClassVar[Any]

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.uuid} {self.state}"

    @property
    def job_state(self) -> JobState:
        """`state` as an enumeration."""
        return JobState(self.state)

    @property
    def is_final(self) -> bool:
        """Whether the job has ended."""
        return self.job_state in lifecycle.FINAL

    def insert(self, *steps: Step) -> list[Any]:
        """Store a new row with its first events in one statement; returns the events.

        Raises `IntegrityError` when a unique value is taken or a referenced row is missing.
        """
        columns: dict[str, Any] = {}
        for column in self._meta.concrete_fields:
            value = column.pre_save(self, add=True)
            if not isinstance(value, DatabaseDefault):
                columns[str(column.column)] = column.get_db_prep_save(value, connection)
        insert = SQL("INSERT INTO {} ({}) VALUES ({}) RETURNING uuid").format(
            Identifier(self._meta.db_table),
            SQL(", ").join(Identifier(name) for name in columns),
            SQL(", ").join(Placeholder() for _ in columns),
        )
        events = self._events(steps, self.created_at, {})
        found = self._write_at_once(insert, list(columns.values()), events)
        self._state.adding = False
        return found or []

    @classmethod
    def apply(cls, *messages: JobMessage, **fields: Any) -> tuple[Self, list[Any]]:
        """Apply messages to their job in one transaction; the row and its new events.

        The row is locked. A repeat changes nothing; a message that claims no state is only stored;
        an impossible one raises `IllegalTransition` and nothing is written. `fields` are further
        columns to set when a message was new.
        """
        with transaction.atomic():
            job = cls._default_manager.select_for_update().get(pk=messages[0].job_uuid)
            return job, job._write(job._apply_all(messages), fields)

    @classmethod
    def apply_after(cls, state: JobState, *messages: JobMessage, **fields: Any) -> JobState:
        """Like `apply`, in one statement, for a writer that knows the row's state; the new state.

        A row in another state, such as after a statement whose outcome was lost, is read first.
        """
        job = cls(uuid=messages[0].job_uuid, state=state)
        steps = job._apply_all(messages)
        if steps and job._update_at_once(SQL("state = %s"), [state], steps, fields) is None:
            return cls.apply(*messages, **fields)[0].job_state
        return job.job_state

    @classmethod
    def report(
        cls,
        uuid: str,
        *reports: Step,
        when: Mapping[JobState, datetime] = MappingProxyType({}),
        **owner: Any,
    ) -> tuple[Self, list[Any]]:
        """Like `apply`, for reported states that may have skipped others or arrive late.

        The new events are those of accepted reports: a repeat, a second final state and a state
        unknown to this version are left out. `when` has the times of states received earlier.
        `owner` are values the row must have; its other columns are deferred.
        """
        while True:
            job = (
                cls._default_manager.only("state", "state_since", *owner)
                .annotate(known=_states_of(cls))
                .get(pk=uuid, **owner)
            )
            known = {*job.known, JobState.UNKNOWN}  # type: ignore[attr-defined]
            seen = SQL("state = %s AND state_since = %s"), [job.state, job.state_since]
            accepted = [one for one in reports if job._catch_up(one[0], known)]
            events = job._update_at_once(*seen, accepted, {}, when) if accepted else []
            # None when another writer came between: what it wrote is read first.
            if events is not None:
                return job, events

    def _catch_up(self, state: JobState, known: set[str]) -> bool:
        """Apply a report of `state`, unless it is among the `known` ones or contradicts them."""
        if state in known:
            return False
        try:
            self.state = lifecycle.catch_up(self.job_state, state)
        except lifecycle.IllegalTransition:
            return False
        known.add(state)
        return True

    def _apply_all(self, messages: Iterable[JobMessage]) -> list[Step]:
        return [step for message in messages if (step := self._apply(message))]

    def _apply(self, message: JobMessage) -> Step | None:
        claimed = lifecycle.CLAIMS.get(type(message))
        if claimed is None:
            return self.job_state, message
        if lifecycle.is_repeat(self.job_state, claimed):
            return None
        self.state = lifecycle.move(self.job_state, claimed)
        return claimed, message

    def _write(self, steps: Sequence[Step], fields: dict[str, Any]) -> list[Any]:
        """Write the row, which this transaction has locked, and the events of `steps`."""
        if not steps:
            return []
        self.state_since = timezone.now()
        for name, value in fields.items():
            setattr(self, name, value)
        self.save(update_fields=["state", "state_since", *fields])
        rows = self._events(steps, self.state_since, {})
        return list(self.events.model._default_manager.bulk_create(rows))

    def _update_at_once(
        self,
        condition: SQL,
        seen: Sequence[Any],
        steps: Sequence[Step],
        fields: dict[str, Any],
        when: Mapping[JobState, datetime] = MappingProxyType({}),
    ) -> list[Any] | None:
        """Write the row if it fulfils `condition`, and the events of `steps`; else None."""
        self.state_since = timezone.now()
        columns: dict[str, Any] = {"state": self.state, "state_since": self.state_since}
        for column in self._meta.concrete_fields:
            if column.name in fields:
                columns[str(column.column)] = column.get_db_prep_save(
                    fields[column.name], connection
                )
        values = SQL(", ").join(SQL("{} = %s").format(Identifier(name)) for name in columns)
        update = SQL("UPDATE {} SET {} WHERE uuid = %s AND {} RETURNING uuid").format(
            Identifier(self._meta.db_table), values, condition
        )
        events = self._events(steps, self.state_since, when)
        return self._write_at_once(update, [*columns.values(), self.pk, *seen], events)

    def _events(
        self, steps: Iterable[Step], now: datetime, when: Mapping[JobState, datetime]
    ) -> list[Any]:
        event = self.events.model
        return [
            event(job_id=self.pk, state=state, body=body.encode(), created_at=when.get(state, now))
            for state, body in steps
        ]

    def _write_at_once(
        self, row: Composed, parameters: Sequence[Any], events: Sequence[Any]
    ) -> list[Any] | None:
        """Run the statement `row` and insert events if it wrote one; None if it did not."""
        statement = _WITH_EVENTS.format(
            row=row, events=Identifier(self.events.model._meta.db_table)
        )
        columns = [[getattr(one, name) for one in events] for name in ("state", "body")]
        moments = [one.created_at for one in events]
        with connection.cursor() as cursor:
            cursor.execute(statement, [*parameters, *columns, moments])
            ids = [number for (number,) in cursor.fetchall()]
        if not ids:
            return None
        for event, number in zip(events, sorted(ids), strict=True):
            event.pk = number
        return list(events)


_WITH_EVENTS = SQL("""
WITH written AS ({row})
INSERT INTO {events} (job_id, state, body, created_at)
SELECT written.uuid, event.state, event.body, event.created_at
FROM written, unnest(%s::text[], %s::text[], %s::timestamptz[])
    WITH ORDINALITY AS event (state, body, created_at, ordinal)
ORDER BY event.ordinal
RETURNING id
""")


def _states_of(model: type[JobRecord]) -> ArraySubquery:
    """The states of a job's events, as a column of its row."""
    events = model.events.rel.related_model._default_manager
    return ArraySubquery(events.filter(job_id=OuterRef("pk")).values("state"))


class JobEvent(models.Model):
    """One event of a job, in the order received: both audit log and outbox.

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
    """Notify all listeners of `channel` once the current transaction commits."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [channel, payload])
