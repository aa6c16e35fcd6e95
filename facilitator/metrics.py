"""Numbers for Prometheus."""

from prometheus_client import Counter, Gauge, generate_latest

from facilitator.news import desk
from facilitator.switchboard import switchboard

JOBS = Counter("facilitator_job_requests", "Accepted requests to run a job", ["kind"])
CONNECTIONS = Gauge("facilitator_validator_connections", "Live validator websockets")
STREAMS = Gauge("facilitator_event_streams", "Open event streams of users")

CONNECTIONS.set_function(lambda: len(switchboard.all()))
STREAMS.set_function(desk.readers)


def page() -> bytes:
    """All numbers as Prometheus reads them."""
    return generate_latest()
