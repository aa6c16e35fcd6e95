"""Metrics for Prometheus, collected at each request."""

from collections import Counter
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from miner.wiring import Miner


class MinerCollector(Collector):
    """The executors and active jobs of one miner."""

    def __init__(self, miner: Miner) -> None:
        self._miner = miner

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Executors by class and state, consecutive failed starts, and active jobs."""
        executors = GaugeMetricFamily(
            "miner_executors", "executors by state", labels=["executor_class", "state"]
        )
        pool = self._miner.pool
        states = Counter((str(one.executor_class), one.state) for one in pool.executors)
        for (executor_class, state), count in states.items():
            executors.add_metric([executor_class, state], count)
        crashes = GaugeMetricFamily(
            "miner_executor_crashes_in_a_row",
            "consecutive failed starts",
            labels=["executor_class"],
        )
        for executor_class, slots in pool.slots.items():
            crashes.add_metric([str(executor_class)], slots.failures)
        jobs = GaugeMetricFamily("miner_jobs_going_on", "accepted jobs that have not ended")
        jobs.add_metric([], len(self._miner.active_jobs))
        return [executors, crashes, jobs]


def exposition(miner: Miner) -> bytes:
    """The metrics in the text format of Prometheus."""
    registry = CollectorRegistry()
    registry.register(MinerCollector(miner))
    return generate_latest(registry)
