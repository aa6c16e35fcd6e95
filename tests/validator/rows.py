"""What is stored of jobs."""

from compute_horde.django.database import in_database
from tests.eventually import eventually
from validator.jobs.models import Job
from validator.receipts.models import IssuedReceipt

ALL_STATES = [
    "received",
    "accepted",
    "executor_ready",
    "volumes_ready",
    "execution_done",
    "completed",
]


async def row_of(uuid: str) -> Job:
    return await in_database(Job.objects.get, pk=uuid)


async def wait_acknowledged(uuid: str) -> None:
    """Wait until the acknowledgement of a job's end is stored."""

    async def is_acknowledged() -> bool:
        return (await row_of(uuid)).told

    await eventually(is_acknowledged)


async def receipts_of(uuid: str) -> list[str]:
    rows = IssuedReceipt.objects.filter(job_uuid=uuid).order_by("id")
    return await in_database(lambda: [row.receipt_type for row in rows])
