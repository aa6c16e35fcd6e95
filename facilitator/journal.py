"""The stored logs of jobs. Every function is one transaction and harmless to repeat."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction

from compute_horde import lifecycle
from compute_horde.protocol.extensions import OutputPrinted
from compute_horde.vocabulary import JobState
from facilitator.models import Job, JobPiece
from facilitator.pieces import Tail, appended

ROWS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a job's log, and where the job stood just before it was read."""

    state: JobState
    rows: Sequence[JobPiece]
    # Of all that is stored; known when there are no rows.
    end: int = 0

    @property
    def is_last(self) -> bool:
        """Whether nothing will follow: a job's end is stored after all that it printed."""
        return self.state in lifecycle.FINAL and not self.rows


def store(uuid: str, hotkey: str, pieces: Sequence[OutputPrinted], limit: int) -> bool:
    """Append to the log of a job of this validator; False when it has no such job."""
    with transaction.atomic():
        if not Job.objects.filter(pk=uuid, validator_id=hotkey).exists():
            return False
        kept = JobPiece.objects.filter(job_id=uuid).order_by("-position")
        last = kept.values_list("end", "number", "source_end").first()
        tail = Tail(last[0], last[1] + 1, last[2]) if last else Tail()
        JobPiece.objects.bulk_create(
            JobPiece(
                job_id=uuid,
                number=row.number,
                position=row.position,
                end=row.end,
                source_end=row.source_end,
                stream=row.stream,
                text=row.text,
                is_gap=row.is_gap,
            )
            for row in appended(tail, pieces, limit)
        )
    return True


def page(uuid: str, hotkey: str, position: int) -> Page | None:
    """The next rows of the log of a user's job, from one that holds byte `position`; or None."""
    state = Job.objects.filter(pk=uuid, hotkey=hotkey).values_list("state", flat=True).first()
    if state is None:
        return None
    rows = JobPiece.objects.filter(job_id=uuid).order_by("position")
    found = list(rows.filter(position__gte=position)[:ROWS_AT_ONCE])
    if position and (not found or found[0].position > position):
        # Only the last row that begins before it may hold it: all others need not be looked at.
        within = rows.filter(position__lt=position).last()
        found = [within, *found] if within and within.end > position else found
    last = None if found else rows.values_list("end", flat=True).last()
    return Page(JobState(state), found, last or 0)
