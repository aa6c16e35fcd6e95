"""What every kind of case has: inputs that are checked, and outputs computed from them."""

from fractions import Fraction
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from validator.scoring.exact import NotNegative

MAX_COUNT = 10**6

Block = Annotated[int, Field(ge=-(10**12), le=10**12)]
Blocks = Annotated[int, Field(ge=0, le=10**9)]
Hotkey = Annotated[str, Field(max_length=64)]
Scores = Annotated[dict[Hotkey, NotNegative], Field(max_length=65536)]
# A subnet has at most as many neurons as there are uids.
Neurons = Annotated[int, Field(ge=1, le=65536)]
U16 = Annotated[int, Field(ge=1, le=65535)]


class CaseForm(BaseModel):
    """The inputs of one case; fields that are not inputs, such as recorded outputs, are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    def outputs(self) -> dict[str, Any]:
        """The outputs by their names in the file. Raises `ValueError` on inputs without any."""
        raise NotImplementedError


def half_open(blocks: range) -> list[int]:
    """The range as [start, stop], `stop` not included."""
    return [blocks.start, blocks.stop]


def neuron_hotkeys(count: int, digits: int = 1) -> dict[str, int]:
    """The uids of the hotkeys h0, h1, … of a test subnet, with leading zeros to `digits`."""
    return {f"h{uid:0{digits}d}": uid for uid in range(count)}


def nonzero(weights: dict[int, Fraction]) -> dict[str, Fraction]:
    """The weights by uid as JSON names them, zeros left out."""
    return {str(uid): weight for uid, weight in sorted(weights.items()) if weight}
