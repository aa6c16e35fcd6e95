"""Metrics for Prometheus."""

from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, generate_latest

from compute_horde.django.metrics_access import refuse_metrics
from facilitator.config import config
from facilitator.jobs.status_feed import feed_registry
from facilitator.jobs.validator_connections import connections

JOBS = Counter("facilitator_job_requests", "Accepted requests to run a job", ["kind"])
CONNECTIONS = Gauge("facilitator_validator_connections", "Live validator websockets")
STREAMS = Gauge("facilitator_event_streams", "Open event streams of users")

CONNECTIONS.set_function(lambda: len(connections.all()))
STREAMS.set_function(feed_registry.count)


async def page(request: HttpRequest) -> HttpResponse:
    """The metrics page; its counts are those of this process."""
    if refusal := refuse_metrics(request, config.metrics_token, "FACILITATOR_METRICS_TOKEN"):
        return refusal
    return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)
