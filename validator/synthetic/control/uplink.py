"""Whether the validator's own network failed, by probes and by miners that fell silent; pure.

A miner must not be able to bring that about. So miners count by owner and by network, many of them
have to be silent at the same moment, and as soon as one address outside answers, the uplink works.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from ipaddress import ip_address, ip_network

from validator.synthetic.control.faults import (
    ControlFault,
    FaultKind,
    Target,
    TargetRecord,
    common_times,
)

# With one address to probe, this part of the parties must be silent too; so many parties at least.
SILENT_WITH_PROBE = Fraction(1, 2)
FEWEST_WITH_PROBE = 3
# Without any address to probe, nearly all of many parties.
SILENT_ALONE = Fraction(9, 10)
FEWEST_ALONE = 8

Span = tuple[datetime, datetime]
Spans = list[tuple[datetime, datetime, str]]


@dataclass(frozen=True, slots=True)
class MinerSilence:
    """A miner that was reached before: whose it is, where, and when it was silent, if it was.

    `silent` is from its last message, or the first try, to when it was given up; None for a miner
    that answered any of its jobs to the end.
    """

    hotkey: str
    host: str
    coldkey: str
    silent: Span | None


def network_of(host: str) -> str:
    """The network that counts once: the /24 of an IPv4 address, the /48 of an IPv6 address."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return str(ip_network(f"{host}/{24 if address.version == 4 else 48}", strict=False))


def parties(miners: Iterable[MinerSilence]) -> list[list[MinerSilence]]:
    """The miners in groups: those with a coldkey or a network in common may be one party."""
    groups: list[tuple[set[str], list[MinerSilence]]] = []
    for miner in miners:
        marks = {f"network {network_of(miner.host)}"}
        if miner.coldkey:
            marks.add(f"coldkey {miner.coldkey}")
        members = [miner]
        rest = []
        for group in groups:
            if group[0] & marks:
                marks |= group[0]
                members = [*group[1], *members]
            else:
                rest.append(group)
        groups = [*rest, (marks, members)]
    return [members for _, members in groups]


@dataclass(frozen=True, slots=True)
class SilentMoment:
    """The moment at which most parties were silent: `silent` of `parties`."""

    at: datetime
    silent: int
    parties: int

    @property
    def share(self) -> Fraction:
        """The silent part."""
        return Fraction(self.silent, self.parties)


def most_silent(miners: Iterable[MinerSilence]) -> SilentMoment | None:
    """When most parties were silent at once; a party is while all of its miners are."""
    spans: list[list[Span]] = []
    groups = parties(miners)
    for members in groups:
        silent = [one.silent for one in members if one.silent]
        if len(silent) == len(members):
            spans += [silent]
    moments = sorted({since for group in spans for since, _ in group})
    counts = [(sum(all(a <= at <= b for a, b in group) for group in spans), at) for at in moments]
    if not counts:
        return None
    most = max(count for count, _ in counts)
    return SilentMoment(next(at for count, at in counts if count == most), most, len(groups))


def uplink_faults(
    records: Mapping[Target, TargetRecord],
    miners: Collection[MinerSilence],
    route_failures: Spans,
    now: datetime,
) -> list[ControlFault]:
    """The times in which the uplink did not work.

    By the first of these that can be told: the machine had lost its default route; all of at least
    two addresses outside failed at the same time; the only one failed, and at least half of the
    miners' parties were silent; there is none, and nearly all parties were.
    """
    by_probes = _by_probes(records, miners, now)
    found = [("default route", span) for span in route_failures]
    found += [("probes", span) for span in by_probes]
    return [
        ControlFault(FaultKind.UPLINK, target, since, until, problem)
        for target, (since, until, problem) in found
    ]


def _by_probes(
    records: Mapping[Target, TargetRecord], miners: Collection[MinerSilence], now: datetime
) -> Spans:
    outside = {
        target.name: record
        for target, record in records.items()
        if target.is_outside and record.worked_at is not None
    }
    failed = common_times(record.failures(now) for record in outside.values())
    if len(outside) > 1:
        return [(a, b, f"all {len(outside)} addresses failed, {text}") for a, b, text in failed]
    moment = most_silent(miners)
    if moment is None:
        return []
    text = f"{moment.silent} of {moment.parties} parties were silent at once"
    if not outside:
        is_enough = moment.parties >= FEWEST_ALONE and moment.share >= SILENT_ALONE
        return [(moment.at, moment.at, text)] if is_enough else []
    if moment.parties < FEWEST_WITH_PROBE or moment.share < SILENT_WITH_PROBE:
        return []
    return [
        (since, until, f"{problem}, and {text}")
        for since, until, problem in failed
        if since <= moment.at <= until
    ]


def common_silence(spans: Sequence[Span]) -> Span | None:
    """The time in which all of a miner's attempts were silent."""
    since, until = max(span[0] for span in spans), min(span[1] for span in spans)
    return (since, until) if since <= until else None
