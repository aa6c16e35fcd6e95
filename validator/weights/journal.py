"""The journal of submissions: each is stored before it is sent, and ended by what is known of it.

The database lets one submission of a cycle be open at a time and one be accepted at all, whatever
processes crash or run twice.
"""

from collections.abc import Mapping

from django.db import IntegrityError, transaction

from compute_horde.adapters.chain_port import AcceptedWeights
from validator.weights.models import Submission, WeightsSet

MAX_PROBLEM = 1000


def open_submission(row: WeightsSet) -> Submission | None:
    """The submission of which nobody knows yet whether the chain includes it."""
    return row.submissions.filter(state=Submission.State.SENDING).first()


def accepted_submission(row: WeightsSet) -> Submission | None:
    """The submission that the chain included."""
    return row.submissions.filter(state=Submission.State.ACCEPTED).first()


def begin(
    row: WeightsSet,
    values: Mapping[int, int],
    hotkeys: Mapping[int, str],
    *,
    block: int,
    validity_blocks: int,
) -> Submission | None:
    """Store a submission that is sent next; None when another one is open or was accepted."""
    if accepted_submission(row):
        return None
    try:
        with transaction.atomic():
            submission = Submission.objects.create(
                weights_set=row,
                values={str(uid): value for uid, value in values.items()},
                hotkeys={str(uid): hotkeys[uid] for uid in values},
                sent_in_block=block,
                expires_in_block=block + validity_blocks,
            )
    except IntegrityError:
        return None
    return submission


def accept(submission: Submission, accepted: AcceptedWeights) -> bool:
    """Store that the chain included it; False when its end was stored before."""
    submission.block = accepted.block
    submission.reveal_round = accepted.reveal_round
    return _end(submission, Submission.State.ACCEPTED, "")


def found(submission: Submission, block: int) -> None:
    """Store that it was found on the chain, whatever was known of it."""
    submission.state, submission.block, submission.problem = Submission.State.ACCEPTED, block, ""
    submission.save(update_fields=["state", "block", "problem"])


def refuse(submission: Submission, problem: str) -> None:
    """Store that the chain refused it: it has no effect."""
    _end(submission, Submission.State.REFUSED, problem)


def expire(submission: Submission) -> None:
    """Store that no block included it while it was valid: it has no effect."""
    _end(submission, Submission.State.EXPIRED, "no block included it while it was valid")


def _end(submission: Submission, state: Submission.State, problem: str) -> bool:
    """Store the end, unless another worker did: the first one that knew it was right."""
    submission.state, submission.problem = state, problem[:MAX_PROBLEM]
    still_open = Submission.objects.filter(pk=submission.pk, state=Submission.State.SENDING)
    ended = still_open.update(
        state=state,
        problem=submission.problem,
        block=submission.block,
        reveal_round=submission.reveal_round,
    )
    return bool(ended)
