"""The fields `fault` and `next_step` of admin pages of jobs."""

from typing import Any

from compute_horde.faults import Fault

NONE = "-"


class FaultColumns:
    """A mixin for admins of jobs, with two read-only fields about one that did not complete."""

    def fault_of(self, job: Any) -> Fault | None:
        """The fault of a job; None when it completed, or has not ended."""
        raise NotImplementedError

    def fault(self, job: Any) -> str:
        """The party responsible for a job that did not complete."""
        return str(fault.blamed) if (fault := self.fault_of(job)) else NONE

    def next_step(self, job: Any) -> str:
        """What to do about it."""
        return fault.advice if (fault := self.fault_of(job)) else NONE
