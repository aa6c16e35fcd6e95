"""Stored logs of jobs. Every function is one transaction and harmless to repeat."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction

from compute_horde import lifecycle
from compute_horde.protocol.extensions import OutputPrinted
from compute_horde.vocabulary import JobState
from facilitator.logs.segments import LogEnd, new_segments
from facilitator.models import Job, JobPiece

PAGE_ROWS = 8


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of a job's log, and the job's state just before they were read."""

    state: JobState
    rows: Sequence[JobPiece]
    # Length of the whole log in bytes; 0 unless `rows` is empty.
    end: int = 0

    @property
    def is_last(self) -> bool:
        """Whether nothing follows: a job's final status is stored after all its output."""
        return self.state in lifecycle.FINAL and not self.rows


def append(uuid: str, hotkey: str, pieces: Sequence[OutputPrinted], limit: int) -> bool:
    """Append to the log of a job of this validator; False when it has no such job."""
    with transaction.atomic():
        if not Job.objects.filter(pk=uuid, validator_id=hotkey).exists():
            return False
        newest_first = JobPiece.objects.filter(job_id=uuid).order_by("-position")
        last = newest_first.values_list("end", "number", "source_end").first()
        log_end = LogEnd(last[0], last[1] + 1, last[2]) if last else LogEnd()
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
            for row in new_segments(log_end, pieces, limit)
        )
    return True


def read_page(uuid: str, hotkey: str, position: int) -> Page | None:
    """Rows of the log of a user's job from byte `position` on; None when there is no such job."""
    state = Job.objects.filter(pk=uuid, hotkey=hotkey).values_list("state", flat=True).first()
    if state is None:
        return None
    rows = JobPiece.objects.filter(job_id=uuid).order_by("position")
    found = list(rows.filter(position__gte=position)[:PAGE_ROWS])
    if position and (not found or found[0].position > position):
        # Byte `position` can only be in the last row that begins before it.
        partial = rows.filter(position__lt=position).last()
        found = [partial, *found] if partial and partial.end > position else found
    last = None if found else rows.values_list("end", flat=True).last()
    return Page(JobState(state), found, last or 0)
