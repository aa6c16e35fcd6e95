"""What a job earns, and the block allowance that pays for it if the formula asks for that."""

from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

from compute_horde.django.database import in_database, write_until_stored
from compute_horde.errors import RejectionError
from compute_horde.protocol.job import JobFinished
from compute_horde.vocabulary import JobState, RejectionReason
from validator.allowance.actions import BlockPayer, PaidJob
from validator.jobs.conversation import MinerContract
from validator.jobs.live_job import LiveJob
from validator.jobs.models import Job
from validator.jobs.steps import Step
from validator.receipts.rules import ZERO, price, price_of_used_time
from validator.receipts.signing import SignedReceipt
from validator.routing.rules import NO_MINER

NOT_ENOUGH_ALLOWANCE = (
    "This validator's block allowance does not cover the time limits of the job at any miner that "
    "offers this executor class: try a shorter job, or later"
)


def full_price(job: LiveJob) -> Decimal:
    """What the job earns when it finishes, in executor seconds; only users' jobs earn."""
    return price(job.request) if job.kind is Job.Kind.ORGANIC else ZERO


def score(job: LiveJob, step: Step, began: datetime | None) -> Decimal:
    """What the job earns: its price when it finished, else what its used time is worth."""
    if isinstance(step.message, JobFinished):
        return full_price(job)
    if step.state is JobState.CANCELLED and job.kind is Job.Kind.ORGANIC:
        until = job.cancelled_at or datetime.now(UTC)
        return max(
            price_of_used_time(job.request, began=began, until=until), job.work_progress.earned
        )
    return job.work_progress.earned


def rejection(job: LiveJob, problem: RejectionError) -> RejectionError:
    """Why no miner gets the job: `problem`, unless the allowance is too small at those left."""
    if not job.lacks_allowance or str(problem) != NO_MINER:
        return problem
    # As published validators name it.
    context = {"exception_type": "NotEnoughAllowanceException"}
    return RejectionError(RejectionReason.NO_MINER_FOR_JOB, NOT_ENOUGH_ALLOWANCE, context=context)


class JobPayment:
    """Reserves and spends allowance for jobs; without a payer, jobs need none."""

    def __init__(self, payer: BlockPayer | None) -> None:
        self._payer = payer

    def is_needed(self, job: LiveJob) -> bool:
        """Whether the job must be paid by allowance."""
        return self._payer is not None and full_price(job) > 0

    async def reserve(self, job: LiveJob, miner: str) -> bool:
        """Reserve allowance for the job at a miner; if there is too little, exclude the miner."""
        if self._payer is None or not self.is_needed(job):
            return True
        paid = _paid(job, miner, full_price(job))
        if await in_database(self._payer.reserve, paid):
            return True
        job.excluded.add(miner)
        job.lacks_allowance = True
        return False

    async def release(self, job: LiveJob, miner: str) -> None:
        """Free what is reserved for the job at a miner that did not take it."""
        if self._payer is not None and self.is_needed(job):
            await in_database(self._payer.release, _paid(job, miner, ZERO))

    async def finished_receipt(
        self, job: LiveJob, contract: MinerContract, score: Decimal
    ) -> SignedReceipt:
        """The finished receipt, with the blocks that pay for the job if it needs them."""
        blocks: tuple[int, ...] = ()
        if self._payer is not None and self.is_needed(job):
            pay = partial(self._payer.pay, _paid(job, contract.miner, score))
            blocks = await write_until_stored(pay, job=job.uuid)
        return contract.sign_finished_receipt(score, datetime.now(UTC), blocks)


def _paid(job: LiveJob, miner: str, cost: Decimal) -> PaidJob:
    return PaidJob(job.uuid, miner, job.request.executor_class, cost)
