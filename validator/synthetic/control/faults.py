"""Faults on the validator's side, and the times they lasted, from the results of probes; pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum


class FaultKind(StrEnum):
    """What failed on the validator's side."""

    REGISTRY = "registry"
    BUCKET = "bucket"
    CHAIN = "chain"
    UPLINK = "uplink"
    LOAD = "load"


# The line item of a score names the fault by these words.
DESCRIPTIONS = {
    FaultKind.REGISTRY: "the registry of the image failed",
    FaultKind.BUCKET: "the storage of inputs or uploads failed",
    FaultKind.CHAIN: "the chain could not be read for new addresses",
    FaultKind.UPLINK: "the validator's own network failed",
    FaultKind.LOAD: "the validator's machine was overloaded",
}


@dataclass(frozen=True, slots=True)
class Target:
    """What a probe tries: a registry, a host of inputs and uploads, a node, or an address.

    `kind` is the fault of this target alone; None for an address that only tells of the uplink.
    `name` is a host, with its port where that is not the usual one. A target that `is_outside`
    lies beyond the validator's uplink, so that it tells whether that works.
    """

    kind: FaultKind | None
    name: str
    is_outside: bool = True


@dataclass(frozen=True, slots=True)
class Probed:
    """The result of one probe: it began and ended at these times; a problem, or an empty text.

    One that `is_unknown` tells nothing, since the validator itself was too late to listen.
    """

    began: datetime
    ended: datetime
    problem: str = ""
    is_unknown: bool = False


@dataclass(frozen=True, slots=True)
class ControlFault:
    """Something on the validator's side that did not work from `since` to `until`."""

    kind: FaultKind
    target: str
    since: datetime
    until: datetime
    problem: str

    def overlaps(self, began: datetime, ended: datetime) -> bool:
        """Whether it lasted at any moment from `began` to `ended`."""
        return self.since <= ended and began <= self.until

    @property
    def reason(self) -> str:
        """What is written about attempts that it excuses."""
        return f"{DESCRIPTIONS[self.kind]} ({self.target}: {self.problem})"


@dataclass(slots=True)
class TargetRecord:
    """The results of a target's probes in their order, summed up as the times it failed.

    What never worked says nothing about others: it may be a mistake in the settings. So times
    before the first success, `worked_at`, which may be from an earlier batch, are no failures.

    `failed_at` is when the first failed probe of the present failure began, which may have been
    before this batch, and `seen_spans` are the failures that are over, counted from there.
    """

    worked_at: datetime | None = None
    failing: tuple[datetime, str] | None = None
    failed_at: datetime | None = None
    spans: list[tuple[datetime, datetime, str]] = field(default_factory=list)
    seen_spans: list[tuple[datetime, datetime, str]] = field(default_factory=list)
    last: Probed | None = None

    def add(self, probed: Probed) -> None:
        """Take the next result; a failure lasts from the last success to the next one."""
        if probed.is_unknown:
            return
        if not probed.problem:
            if self.failing:
                self.spans.append((self.failing[0], probed.ended, self.failing[1]))
                if self.failed_at:
                    self.seen_spans.append((self.failed_at, probed.ended, self.failing[1]))
            self.failing, self.failed_at, self.worked_at = None, None, probed.began
        elif self.worked_at is not None:
            self.failing = self.failing or (self.worked_at, probed.problem)
            self.failed_at = self.failed_at or probed.began
        self.last = probed

    def failures(self, now: datetime) -> list[tuple[datetime, datetime, str]]:
        """The times it failed as since, until and problem; the present failure lasts until now."""
        present = [(self.failing[0], now, self.failing[1])] if self.failing else []
        return [*self.spans, *present]

    def seen_failures(self, now: datetime) -> list[tuple[datetime, datetime, str]]:
        """The same from each first failed probe on, not from the success before it."""
        if self.failing is None or self.failed_at is None:
            return list(self.seen_spans)
        return [*self.seen_spans, (self.failed_at, now, self.failing[1])]


def common_times(
    every: Iterable[Iterable[tuple[datetime, datetime, str]]],
) -> list[tuple[datetime, datetime, str]]:
    """The times that each of these lists of times covers, with the problem of the first list."""
    lists = [list(one) for one in every]
    if not lists:
        return []
    common = lists[0]
    for others in lists[1:]:
        common = [
            (max(since, other[0]), min(until, other[1]), problem)
            for since, until, problem in common
            for other in others
            if max(since, other[0]) <= min(until, other[1])
        ]
    return common


def of_target(target: Target, record: TargetRecord, now: datetime) -> list[ControlFault]:
    """The faults of one target; none of an address that only tells of the uplink."""
    if target.kind is None:
        return []
    fault = ControlFault(target.kind, target.name, now, now, "")
    return [
        replace(fault, since=since, until=until, problem=problem)
        for since, until, problem in record.failures(now)
    ]


def chain_faults(records: Mapping[Target, TargetRecord], now: datetime) -> list[ControlFault]:
    """The times in which no node of the chain that ever worked took connections.

    From failed probes on: how long a fault lasted decides what it excuses.
    """
    nodes = {
        target.name: record
        for target, record in records.items()
        if target.kind is FaultKind.CHAIN and record.worked_at is not None
    }
    return [
        ControlFault(FaultKind.CHAIN, ", ".join(nodes), since, until, problem)
        for since, until, problem in common_times(one.seen_failures(now) for one in nodes.values())
    ]
