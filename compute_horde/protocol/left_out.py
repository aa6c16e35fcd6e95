"""Files that are left out of a job's result, named in an optional key beyond the protocol."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from compute_horde.protocol.truncation import TotalBytes

MAX_LISTED = 100
MAX_NAME_CHARACTERS = 1024


class LeftOut(BaseModel):
    """An artifact that did not travel: its path in the container, its bytes if known, the reason.

    The name of a folder ends with `/`. An empty name stands for all that is not listed one by one.
    """

    model_config = ConfigDict(frozen=True)

    name: str = Field(max_length=MAX_NAME_CHARACTERS)
    size: TotalBytes | None = None
    why: str = Field(max_length=500)

    def __str__(self) -> str:
        size = "" if self.size is None else f" ({self.size:,} bytes)"
        return f"{self.name or 'more artifacts'}{size}: {self.why}"


def listed(left_out: Iterable[LeftOut]) -> tuple[LeftOut, ...]:
    """The first `MAX_LISTED` entries, and one entry for all others."""
    every = list(left_out)
    first, others = every[:MAX_LISTED], every[MAX_LISTED:]
    # A list that went through here before has the number of its missing entries only in its text.
    if others:
        sizes = [one.size for one in others if one.size is not None]
        why = f"{len(others)} more did not fit or could not be read"
        first.append(LeftOut(name="", size=sum(sizes) if sizes else None, why=why))
    return tuple(first)


LeftOuts = Annotated[
    tuple[LeftOut, ...],
    Field(max_length=1000, exclude_if=lambda listed: not listed),
]
