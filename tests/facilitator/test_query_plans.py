"""The queries that users and validators wait for use the indexes made for them."""

from datetime import timedelta

from django.core.management import call_command
from django.utils import timezone

from benchmarks.million_jobs.facilitator_queries import HEAVY, ORDINARY, VALIDATOR, rows
from benchmarks.million_jobs.filling import uuid_of
from facilitator.jobs import cancellation, store
from tests.query_plans import fill, without_their_index

SOME = [uuid_of(number) for number in range(1, 9)]
NOW, DAY = timezone.now(), timedelta(days=1)
STUCK = {"absent": [VALIDATOR], "now": NOW, "grace_period": DAY}
OLD = {"now": NOW, "keep": 29 * DAY, "keep_nonces": DAY}


def test_the_migrations_are_complete():
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


QUERIES = [
    ("job_of_owner", lambda: store.own_jobs(ORDINARY, [], None, first=0, size=10)),
    ("job_by_tag", lambda: store.own_jobs(HEAVY, [], "rare", first=0, size=10)),
    ("job_by_state", lambda: store.count_unfinished(HEAVY)),
    ("facilitator_jobevent_job_id", lambda: store.latest_events(SOME)),
    ("job_by_state", lambda: store.claim_jobs(VALIDATOR, "c", ["d"], 10)),
    ("job_by_state", lambda: store.find_stuck_jobs(**STUCK)),
    ("job_being_cancelled", lambda: cancellation.claim_requests(VALIDATOR, "c", ["d"], 10)),
    ("facilitator_job_created_at", lambda: store.evict(**OLD)),
]


def test_each_query_uses_its_index():
    fill(rows)
    assert without_their_index(QUERIES) == []
