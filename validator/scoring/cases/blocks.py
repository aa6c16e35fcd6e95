"""Cases about blocks and times: cycles, windows of weights, the cycle that is scored, pages."""

from typing import Annotated, Any

from pydantic import Field

from compute_horde.cycles import cycle_at, nominal_epoch_start, peak_cycle
from validator.scoring.cases.form import Block, Blocks, CaseForm, half_open
from validator.scoring.exact import Number
from validator.scoring.intervals import (
    CommitRule,
    commit_interval,
    cycle_before,
    receipt_page,
    scored_cycle,
)

# Peak cycles are counted in days of ten cycles, which the network defines for this tempo only.
TEMPO_WITH_PEAKS = 360


class CyclesCase(CaseForm):
    """The epoch, cycle and peak cycle that contain a block."""

    block: Block
    netuid: Annotated[int, Field(ge=0, le=65535)]
    tempo: Annotated[int, Field(ge=1, le=65535)]

    def outputs(self) -> dict[str, Any]:
        """Half-open ranges; no peak cycle where the tempo is not the network's."""
        epoch = nominal_epoch_start(self.block, netuid=self.netuid, tempo=self.tempo)
        cycle = cycle_at(self.block, netuid=self.netuid, tempo=self.tempo)
        peak = peak_cycle(self.block, netuid=self.netuid, tempo=self.tempo)
        has_peaks = self.tempo == TEMPO_WITH_PEAKS
        return {
            "epoch": [epoch, epoch + self.tempo + 1],
            "cycle": [cycle.start, cycle.stop],
            "peak_cycle": [peak.start, peak.stop] if has_peaks else None,
        }


class CommitRevealCase(CaseForm):
    """The interval that contains a block, and when weights are committed and revealed in it."""

    block: Block
    length: Annotated[int, Field(ge=1, le=10**9)]
    commit_start_offset: Blocks
    commit_end_buffer: Blocks
    reveal_end_buffer: Blocks

    def outputs(self) -> dict[str, Any]:
        """Half-open ranges, and whether weights may be committed in this block."""
        rule = CommitRule(
            self.length, self.commit_start_offset, self.commit_end_buffer, self.reveal_end_buffer
        )
        found = commit_interval(self.block, rule)
        return {
            "interval": half_open(found.interval),
            "commit_window": half_open(found.commit_window),
            "reveal_window": half_open(found.reveal_window),
            "may_commit": self.block in found.commit_window,
        }


class ScoringCycleCase(CaseForm):
    """The cycle that is scored at a block, and the one before."""

    block: Block

    def outputs(self) -> dict[str, Any]:
        """Starts, in plain multiples of 722."""
        start = scored_cycle(self.block)
        return {"current_cycle_start": start, "previous_cycle_start": cycle_before(start)}


class ReceiptPageCase(CaseForm):
    """The page of receipts of a time."""

    unix_time: Number

    def outputs(self) -> dict[str, Any]:
        """The number of the page."""
        return {"page": receipt_page(self.unix_time)}
