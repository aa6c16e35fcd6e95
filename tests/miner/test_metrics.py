"""The metrics of a running miner, as Prometheus reads them."""

from prometheus_client.parser import text_string_to_metric_families

from miner.metrics import exposition
from tests.miner.conftest import accepted
from tests.miner.peers import CLASS


def samples(miner):
    """The values, by name and labels."""
    families = text_string_to_metric_families(exposition(miner).decode())
    return {
        (one.name, *one.labels.values()): one.value for family in families for one in family.samples
    }


async def test_executors_and_jobs_are_counted_as_they_are_now(run_miner):
    async with run_miner(executors={CLASS: 2}) as it:
        await it.manager.has_started(1)
        assert samples(it.miner) == {
            ("miner_executors", str(CLASS), "starting"): 2,
            ("miner_executor_crashes_in_a_row", str(CLASS)): 0,
            ("miner_jobs_going_on",): 0,
        }
        await accepted(it)
        found = samples(it.miner)
    assert found["miner_executors", str(CLASS), "busy"] == 1
    assert found["miner_executors", str(CLASS), "starting"] == 1
    assert found["miner_jobs_going_on",] == 1


async def test_failed_starts_are_counted(run_miner):
    async with run_miner() as it:
        it.miner.pool.slots[CLASS].failures = 3
        assert samples(it.miner)["miner_executor_crashes_in_a_row", str(CLASS)] == 3
