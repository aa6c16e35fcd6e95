"""From results of probes to the times that something failed."""

from datetime import UTC, datetime, timedelta

from validator.synthetic.control.faults import (
    DESCRIPTIONS,
    ControlFault,
    FaultKind,
    Probed,
    Target,
    TargetRecord,
    chain_faults,
    common_times,
    of_target,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
REGISTRY = Target(FaultKind.REGISTRY, "registry.example")


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def record(*results: str, known: datetime | None = None) -> TargetRecord:
    """A record of probes ten seconds apart, each of a second; `?` is one that tells nothing."""
    made = TargetRecord(known)
    for number, problem in enumerate(results):
        began = at(10 * number)
        made.add(Probed(began, began + timedelta(seconds=1), problem, is_unknown=problem == "?"))
    return made


def test_a_failure_lasts_from_the_last_success_to_the_next_one() -> None:
    made = record("", "", "refused", "timeout", "")
    assert made.failures(at(60)) == [(at(10), at(41), "refused")]
    assert made.worked_at == at(40)


def test_a_failure_that_is_not_over_lasts_until_now() -> None:
    assert record("", "refused").failures(at(60)) == [(at(0), at(60), "refused")]


def test_what_never_worked_is_no_evidence() -> None:
    assert record("refused", "refused").failures(at(60)) == []
    assert record("refused", "", "refused").failures(at(60)) == [(at(10), at(60), "refused")]


def test_what_worked_before_the_batch_is_evidence() -> None:
    assert record("refused", known=at(-100)).failures(at(9)) == [(at(-100), at(9), "refused")]


def test_a_result_that_tells_nothing_changes_nothing() -> None:
    assert record("", "?", "").failures(at(60)) == []
    assert record("", "refused", "?", "").failures(at(60)) == [(at(0), at(31), "refused")]


def test_times_in_common() -> None:
    one = [(at(0), at(10), "a"), (at(20), at(30), "a")]
    other = [(at(5), at(25), "b")]
    assert common_times([one, other]) == [(at(5), at(10), "a"), (at(20), at(25), "a")]
    assert common_times([one, []]) == []
    assert common_times([]) == []


def test_a_target_has_the_faults_of_its_kind() -> None:
    made = record("", "refused")
    (fault,) = of_target(REGISTRY, made, at(20))
    assert fault == ControlFault(FaultKind.REGISTRY, "registry.example", at(0), at(20), "refused")
    assert fault.reason == "the registry of the image failed (registry.example: refused)"
    assert of_target(Target(None, "outside:1"), made, at(20)) == []


def test_the_chain_has_failed_when_none_of_its_nodes_works() -> None:
    one, other = (Target(FaultKind.CHAIN, name) for name in ("one", "other"))
    failing = record("", "refused")
    (fault,) = chain_faults({one: failing, other: record("refused"), REGISTRY: failing}, at(20))
    assert (fault.kind, fault.target, fault.since) == (FaultKind.CHAIN, "one", at(10))
    assert chain_faults({one: failing, other: record("", "")}, at(20)) == []
    (fault,) = chain_faults({one: failing, other: failing}, at(20))
    assert fault.target == "one, other"


def test_a_fault_of_the_chain_lasts_from_the_first_failed_probe() -> None:
    """However long ago a node worked."""
    node = Target(FaultKind.CHAIN, "node")
    made = record("refused", "refused", known=at(-3600))
    assert [one.since for one in chain_faults({node: made}, at(20))] == [at(0)]
    earlier = TargetRecord(at(-3600), (at(-3600), "refused"), at(-600))
    earlier.add(Probed(at(0), at(1), "refused"))
    assert [one.since for one in chain_faults({node: earlier}, at(20))] == [at(-600)]
    failed_before = TargetRecord(at(-3600), (at(-3600), "refused"))
    assert chain_faults({node: failed_before}, at(20)) == []
    failed_before.add(Probed(at(0), at(1), "refused"))
    assert [one.since for one in chain_faults({node: failed_before}, at(20))] == [at(0)]
    failed_before.add(Probed(at(10), at(11)))
    (fault,) = chain_faults({node: failed_before}, at(20))
    assert (fault.since, fault.until) == (at(0), at(11))
    assert failed_before.failures(at(20)) == [(at(-3600), at(11), "refused")]


def test_a_fault_overlaps_what_has_a_moment_in_common() -> None:
    fault = ControlFault(FaultKind.LOAD, "this machine", at(10), at(20), "")
    assert fault.overlaps(at(0), at(10))
    assert fault.overlaps(at(20), at(30))
    assert fault.overlaps(at(12), at(13))
    assert not fault.overlaps(at(0), at(9))
    assert not fault.overlaps(at(21), at(30))


def test_every_kind_has_words_for_the_line_item() -> None:
    assert DESCRIPTIONS.keys() == set(FaultKind)
