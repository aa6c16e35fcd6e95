"""Which kinds test which executor class: the setting, and the division of executors by it."""

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from compute_horde.hardware import ExecutorClass
from validator.synthetic.kinds.echo_kind import EchoKind
from validator.synthetic.kinds.hash_kind import HashKind
from validator.synthetic.kinds.kind import BatchFacts, DeclaredExecutor, Kind, PreparedJob
from validator.synthetic.kinds.llm_kind import LlmKind

log = logging.getLogger(__name__)

KINDS: Mapping[str, Any] = {"hash": HashKind, "llm": LlmKind, "echo": EchoKind}


class KindChoice(BaseModel):
    """One kind of an executor class in the settings.

    `share` is its part of the class's executors, relative to the other kinds of the class.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    share: Decimal = Field(Decimal(1), gt=0)
    parameters: dict[str, Any] = {}

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kind not in KINDS:
            raise ValueError(f"there is no such kind; there are {', '.join(KINDS)}")
        KINDS[self.kind].Parameters.model_validate(self.parameters)
        return self

    @property
    def image(self) -> str:
        """The image of its jobs; empty where that is not a parameter."""
        parameters = KINDS[self.kind].Parameters.model_validate(self.parameters)
        return str(getattr(parameters, "image", ""))

    def plugin(self) -> Kind:
        """The kind with these parameters."""
        kind = KINDS[self.kind]
        made: Kind = kind(kind.Parameters.model_validate(self.parameters))
        return made


@dataclass
class Assignment:
    """The jobs of a batch with their kinds, and notes on what went short, for the operator."""

    jobs: list[tuple[PreparedJob, Kind]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


async def assign(
    facts: BatchFacts,
    executors: Iterable[DeclaredExecutor],
    choices: Mapping[ExecutorClass, Sequence[KindChoice]],
) -> Assignment:
    """Make a job for every executor.

    The kinds of a class share its executors at random. What a kind cannot make, the next kind in
    the list of the class makes, and after the last one the first that was not short.
    """
    by_class: dict[ExecutorClass, list[DeclaredExecutor]] = {}
    for executor in executors:
        by_class.setdefault(executor.executor_class, []).append(executor)
    assignment = Assignment()
    for executor_class, members in by_class.items():
        members.sort(key=lambda executor: _random_order(facts.seed, executor))
        await _assign_class(assignment, facts, members, choices[executor_class])
    return assignment


def quotas(count: int, shares: Sequence[Decimal]) -> list[int]:
    """`count` divided in proportion to `shares`, the remainder to the largest fractions."""
    exact = [count * share / sum(shares) for share in shares]
    whole = [int(part) for part in exact]
    by_fraction = sorted(range(len(shares)), key=lambda place: whole[place] - exact[place])
    for place in by_fraction[: count - sum(whole)]:
        whole[place] += 1
    return whole


async def _assign_class(
    assignment: Assignment,
    facts: BatchFacts,
    executors: Sequence[DeclaredExecutor],
    choices: Sequence[KindChoice],
) -> None:
    executor_class = executors[0].executor_class
    left, waiting = list(executors), list[DeclaredExecutor]()
    kinds = [choice.plugin() for choice in choices]
    able: list[int] = []
    for place, quota in enumerate(quotas(len(left), [choice.share for choice in choices])):
        asked, left = [*waiting, *left[:quota]], left[quota:]
        waiting, shortage = await _prepare(assignment, facts, kinds[place], asked)
        if shortage:
            short = f"{len(waiting)} of {len(asked)} {executor_class}"
            assignment.notes.append(f"{choices[place].kind} lacked jobs for {short}: {shortage}")
        else:
            able.append(place)
    for place in able:
        if waiting:
            waiting, _ = await _prepare(assignment, facts, kinds[place], waiting)
    if waiting:
        assignment.notes.append(f"{len(waiting)} {executor_class} were not tested")


async def _prepare(
    assignment: Assignment, facts: BatchFacts, kind: Kind, asked: Sequence[DeclaredExecutor]
) -> tuple[list[DeclaredExecutor], str]:
    """Add the jobs that a kind makes; returns the executors without one, and why."""
    if not asked:
        return [], ""
    try:
        prepared = await kind.prepare(facts, asked)
    except Exception as exc:
        log.exception("a kind of synthetic job failed")
        return list(asked), f"{type(exc).__name__}: {exc}"[:200]
    assignment.jobs += [(job, kind) for job in prepared.jobs]
    rest = list(asked[len(prepared.jobs) :])
    return rest, (prepared.shortage or "no reason given") if rest else ""


def _random_order(seed: str, executor: DeclaredExecutor) -> bytes:
    return hashlib.sha256(f"{seed}:order:{executor.seed}".encode()).digest()
