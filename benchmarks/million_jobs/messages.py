"""Messages of the generated jobs; `NIL` in them is replaced by the UUID of each job."""

from datetime import UTC, datetime

from benchmarks.million_jobs.filling import hotkey
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.job import JobAccepted, JobFinished, JobRequested
from compute_horde.receipts import JobFinishedReceipt, JobStartedReceipt

NIL = "00000000-0000-0000-0000-000000000000"
EXECUTOR_CLASS = ExecutorClass("always_on.gpu-24gb")
REQUEST = JobRequested(
    uuid=NIL,
    executor_class=EXECUTOR_CLASS,
    docker_image="backenddevelopersltd/compute-horde-job:v1-latest",
    args=["python", "train.py", "--data", "x" * 300],
    env={"TOKEN": "y" * 100},
    download_time_limit=60,
    execution_time_limit=300,
    upload_time_limit=60,
    streaming_start_time_limit=10,
)
ACCEPTED = JobAccepted(job_uuid=NIL)
FINISHED = JobFinished(job_uuid=NIL, docker_process_stdout="x" * 200, docker_process_stderr="")
STARTED = JobStartedReceipt(
    job_uuid=NIL,
    miner_hotkey=hotkey("M", 0),
    validator_hotkey=hotkey("V", 0),
    timestamp=datetime(2026, 1, 1, tzinfo=UTC),
    executor_class=EXECUTOR_CLASS,
    is_organic=True,
    ttl=60,
)
ENDED = JobFinishedReceipt(
    job_uuid=NIL,
    miner_hotkey=hotkey("M", 0),
    validator_hotkey=hotkey("V", 0),
    timestamp=datetime(2026, 1, 1, tzinfo=UTC),
    time_started=datetime(2026, 1, 1, tzinfo=UTC),
    time_took_us=30_000_000,
    score_str="30.0",
)
