"""Rows of before the column `miner_hotkey` get it from their documents, whatever those hold."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from compute_horde.protocol.job import JobOffered
from compute_horde.signing import compact_json
from miner.jobs import rules
from miner.jobs.models import Job
from miner.receipts.models import Receipt
from tests.miner.conftest import MINER, STRANGER, VALIDATOR
from tests.miner.peers import ValidatorPeer

BEFORE = [("jobs", "0004_state_index"), ("receipts", "0004_excuses_index")]
OURS = MINER.ss58_address
# Looks like the key, and holds what PostgreSQL cannot read from JSON.
HOSTILE = f'\0 "job_started_receipt_payload": {{"miner_hotkey": "{STRANGER.ss58_address}"}} \0'
BATCH = 1000


@pytest.fixture
def earlier() -> Iterator[Any]:
    """The models of before the column."""
    MigrationExecutor(connection).migrate(BEFORE)
    yield MigrationExecutor(connection).loader.project_state(BEFORE).apps
    migrate()


def migrate() -> None:
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


def offer() -> JobOffered:
    return ValidatorPeer(None, VALIDATOR, OURS).offer().model_copy(update={"docker_image": HOSTILE})


@pytest.mark.django_db(transaction=True)
def test_earlier_rows_get_the_hotkey_that_their_documents_name(earlier: Any) -> None:
    texts = [rules.redacted(offer()), "", "no JSON", json.dumps({"docker_image": HOSTILE})]
    assert "\\u0000" in texts[0]
    jobs = earlier.get_model("jobs", "Job")
    for number, text in enumerate(texts):
        jobs.objects.create(
            uuid=UUID(int=number), state="accepted", executor_token=str(number), offered=text
        )
    receipts = earlier.get_model("receipts", "Receipt")
    receipts.objects.bulk_create(
        receipts(
            job_uuid=UUID(int=number),
            timestamp=timezone.now(),
            page=1,
            body=compact_json({"payload": {"miner_hotkey": OURS}}).decode()
            if number
            else "no JSON",
        )
        for number in range(BATCH + 2)
    )
    migrate()
    found = Job.objects.order_by("uuid").values_list("miner_hotkey", flat=True)
    assert list(found) == [OURS, "", "", ""]
    named = Receipt.objects.filter(miner_hotkey=OURS)
    assert (named.count(), Receipt.objects.exclude(pk__in=named).get().job_uuid.int) == (
        BATCH + 1,
        0,
    )
