"""Reads back what the chain holds of our weights, and counts the epochs since any landed.

An accepted transaction is not the end: sealed weights are opened by the chain in a later epoch, and
are lost when that fails.
"""

import logging
from collections.abc import Collection, Mapping

from compute_horde.adapters.chain_port import Chain, Metagraph
from validator.weights import journal
from validator.weights.models import Submission, WeightsSet

log = logging.getLogger(__name__)

Landing = WeightsSet.Landing

# Without weights of ours landing for so many epochs, the operator is alarmed.
ALARM_EPOCHS = 3


def due(block: int) -> list[WeightsSet]:
    """The published rows whose weights were not yet read back from the chain, oldest first."""
    rows = WeightsSet.objects.filter(
        state=WeightsSet.State.PUBLISHED, landing=Landing.OPEN, block__lt=block
    )
    return list(rows.order_by("cycle_start"))


def read_back(chain: Chain, validator: str, rows: Collection[WeightsSet]) -> None:
    """Compare the weights on the chain with those of each row, oldest first; store the results.

    A row whose weights are still sealed stays open, and so does one that a node which is behind
    cannot know.
    """
    metagraph = chain.metagraph()
    sealed = {commit.block for commit in chain.weight_commits(validator)}
    uid = next((n.uid for n in metagraph.neurons if n.hotkey == validator), None)
    held = {} if uid is None else chain.weights(uid)
    opened = [
        row
        for row in rows
        if row.block not in sealed and row.block is not None and row.block < metagraph.block
    ]
    for row in opened:
        landing, detail = judge(metagraph, held, row, is_newest=row is opened[-1])
        _end(row, landing, metagraph.block, detail)


def judge(
    metagraph: Metagraph, held: Mapping[int, int], row: WeightsSet, *, is_newest: bool
) -> tuple[WeightsSet.Landing, str]:
    """What became of a row's weights, and a sentence about it; `held`: ours on the chain by uid."""
    sent = journal.accepted_submission(row)
    if sent is None:
        return Landing.UNKNOWN, "no submission of these weights is recorded"
    meant = {int(uid): int(value) for uid, value in sent.values.items()}
    if is_same(meant, held):
        return Landing.LANDED, "; ".join(changed_hands(metagraph, sent))
    if not is_newest:
        return Landing.UNKNOWN, "the weights of a later cycle replaced them before they were read"
    return Landing.LOST, difference(meant, held)


def is_same(meant: Mapping[int, int], held: Mapping[int, int]) -> bool:
    """Whether these are the same weights but for rounding.

    The chain's client may apply the limit of a share once more, which moves a weight by 1.
    """
    uids = meant.keys() | held.keys()
    return bool(held) and all(abs(meant.get(uid, 0) - held.get(uid, 0)) <= 1 for uid in uids)


def changed_hands(metagraph: Metagraph, sent: Submission) -> list[str]:
    """A line for each uid that has another hotkey than the one that was meant."""
    now = {str(neuron.uid): neuron.hotkey for neuron in metagraph.neurons}
    return [
        f"uid {uid} was {meant} and is now {now.get(uid, 'nobody')}"
        for uid, meant in sent.hotkeys.items()
        if now.get(uid) != meant
    ]


def difference(meant: Mapping[int, int], held: Mapping[int, int]) -> str:
    """How the weights on the chain differ from those that were sent, in a sentence."""
    if not held:
        return "the chain holds no weights of ours: did their reveal fail (TimelockRevealFailed)?"
    wrong = [uid for uid in sorted(meant.keys() | held.keys()) if meant.get(uid) != held.get(uid)]
    first = wrong[0]
    return (
        f"the chain holds other weights for {len(wrong)} uids, such as {held.get(first, 0)} "
        f"instead of {meant.get(first, 0)} for uid {first}: their reveal failed "
        "(TimelockRevealFailed), or something else set weights with our hotkey"
    )


def epochs_since_landing(block: int, tempo: int) -> int | None:
    """For how many epochs no weights of ours landed; None when none were ever to land.

    Rows of which that is not known, such as those of a version that did not look, do not count.
    """
    published = WeightsSet.objects.filter(state=WeightsSet.State.PUBLISHED)
    landed = published.filter(landing=Landing.LANDED).first()
    known = published.exclude(landing=Landing.UNKNOWN)
    since = landed.landed_block if landed else known.values_list("block", flat=True).last()
    return None if since is None else max(block - since, 0) // (tempo + 1)


def _end(row: WeightsSet, landing: WeightsSet.Landing, block: int, detail: str) -> None:
    row.landing, row.landed_block, row.landing_detail = landing, block, detail
    row.save(update_fields=["landing", "landed_block", "landing_detail"])
    level = logging.ERROR if landing is Landing.LOST else logging.INFO
    log.log(
        level,
        "weights read back",
        extra={"cycle": row.cycle_start, "as": landing.value, "detail": detail},
    )
