"""Runs the steps of the pipeline, one at a time, and keeps how each ended."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic, sleep

from django.db import connection
from django.utils import timezone

from compute_horde.nul_characters import replace_nul
from validator.config import Config
from validator.llm.answering import answer
from validator.llm.buckets import BucketError
from validator.llm.generation import generate
from validator.llm.models import PipelineStep
from validator.llm.programs.answer_file import BadFileError
from validator.llm.trusted_work import PipelineTools, tools
from validator.llm.workloads import make_workloads
from validator.trusted_miner.errors import TrustedMinerError

log = logging.getLogger(__name__)

RESULT_CHARACTERS = 500
# The trusted miner is one GPU, so only one step uses it at a time, in all processes.
TRUSTED_MINER = "llm trusted miner"
LOCKS = {"generation": TRUSTED_MINER, "sampling": "llm sampling", "answering": TRUSTED_MINER}
# A step that has nothing to do frees the lock at once.
LOCK_SECONDS = 2.0
PAUSE_SECONDS = 0.5
STEPS: dict[str, Callable[[PipelineTools], str]] = {
    "generation": generate,
    "sampling": make_workloads,
    "answering": answer,
}


def run_step(name: str, config: Config) -> None:
    """Run a step, unless another one runs; a failure of the outside is kept and logged.

    Without the kind `llm` in `VALIDATOR_BATCH_KINDS` nothing is done.
    """
    if not is_in_use(config):
        return
    with _exclusively(LOCKS[name]) as is_free:
        if not is_free:
            log.info("another step uses the trusted miner", extra={"step": name})
            return
        try:
            result, is_ok = STEPS[name](tools(config)), True
        except (BucketError, TrustedMinerError, BadFileError) as exc:
            result, is_ok = f"{type(exc).__name__}: {exc}", False
            log.warning("step of the pipeline failed", extra={"step": name, "problem": result})
        else:
            log.info("step of the pipeline done", extra={"step": name, "result": result})
        values = {
            "ended_at": timezone.now(),
            "is_ok": is_ok,
            "result": replace_nul(result)[:RESULT_CHARACTERS],
        }
        PipelineStep.objects.update_or_create(name=name, defaults=values)


def is_in_use(config: Config) -> bool:
    """Whether any executor class is tested by the kind `llm`."""
    return any(one.kind == "llm" for choices in config.batch_kinds.values() for one in choices)


@contextmanager
def _exclusively(lock: str) -> Iterator[bool]:
    """Hold a lock, if it is free soon; PostgreSQL frees it when the process dies."""
    give_up = monotonic() + LOCK_SECONDS
    while not (is_free := _on_lock("pg_try_advisory_lock", lock)) and monotonic() < give_up:
        sleep(PAUSE_SECONDS)
    try:
        yield is_free
    finally:
        if is_free:
            _on_lock("pg_advisory_unlock", lock)


def _on_lock(function: str, lock: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(hashtextextended(%s, 0))", [lock])
        found = cursor.fetchone()
    return bool(found and found[0])
