"""Metrics of the transfer of receipts, read from the database at each request.

The process that transfers receipts has no web page, and its counters outlive it.
"""

from collections.abc import Iterable

from django.utils import timezone
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from validator.network.models import Neuron
from validator.receipts.models import TransferCount, TransferStatus
from validator.receipts.recorder import MICROSECONDS
from validator.receipts.store import CountName

PREFIX = "receipttransfer_"


class TransferMetrics(Collector):
    """The counters of all miners together; of each registered miner only the age of its pages."""

    def collect(self) -> Iterable[Metric]:
        """All metrics with their present values."""
        rows = TransferCount.objects.filter(miner_hotkey="").values_list("name", "reason", "count")
        counts = {(name, reason): count for name, reason, count in rows}
        yield _counter("receipts", "New receipts", counts.get((CountName.NEW_RECEIPTS, ""), 0))
        transfers = counts.get((CountName.TRANSFERS, ""), 0)
        yield _counter("successful_transfers", "Requests for pages that succeeded", transfers)
        yield _errors("line_errors", "Lines that are not stored", CountName.LINE_ERRORS, counts)
        yield _errors("transfer_errors", "Requests that failed", CountName.TRANSFER_ERRORS, counts)
        yield SummaryMetricFamily(
            f"{PREFIX}transfer_duration",
            "Seconds of successful requests",
            count_value=transfers,
            sum_value=counts.get((CountName.MICROSECONDS, ""), 0) / MICROSECONDS,
        )
        yield _gauge("miners", "Miners whose pages are read", counts.get((CountName.MINERS, ""), 0))
        left = counts.get((CountName.CATCH_UP_PAGES_LEFT, ""), 0)
        yield _gauge("catchup_pages_left", "Older pages that were not read to their end", left)
        yield _ages()


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"{PREFIX}{name}", text, value=value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}{name}", text, value=value)


def _errors(name: str, text: str, kind: CountName, counts: dict[tuple[str, str], int]) -> Metric:
    family = CounterMetricFamily(f"{PREFIX}{name}", text, labels=["exc_type"])
    for (counted, reason), count in sorted(counts.items()):
        if counted == kind:
            family.add_metric([reason], count)
    return family


def _ages() -> Metric:
    """For how long no page of a miner could be fetched; registered miners are 256 at most."""
    family = GaugeMetricFamily(
        f"{PREFIX}page_age_seconds",
        "Seconds since a page of the miner was fetched",
        labels=["miner"],
    )
    registered = Neuron.objects.filter(registered=True).values("hotkey")
    rows = TransferStatus.objects.filter(miner_hotkey__in=registered)
    now = timezone.now()
    for miner, fetched_at in rows.values_list("miner_hotkey", "fetched_at"):
        if fetched_at:
            family.add_metric([miner], (now - fetched_at).total_seconds())
    return family
