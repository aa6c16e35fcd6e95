"""Whose fault a job's end is, and what to do, in the same two fields of every admin."""

from compute_horde.django.fault_columns import FaultColumns
from compute_horde.faults import CANCELLED, Fault


class Columns(FaultColumns):
    """Of a job that is its own fault."""

    def fault_of(self, job: Fault | None) -> Fault | None:
        return job


def test_a_fault_is_named_with_what_to_do() -> None:
    assert Columns().fault(CANCELLED) == "user"
    assert Columns().next_step(CANCELLED) == CANCELLED.advice


def test_without_a_fault_there_is_a_dash() -> None:
    assert (Columns().fault(None), Columns().next_step(None)) == ("-", "-")
