"""Whether the validator is well, for probes and for Prometheus."""

from django.db import connection
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from validator.jobs.models import Job
from validator.network.models import Neuron


def health(request: HttpRequest) -> HttpResponse:
    """200 when the database answers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return HttpResponse("ok", content_type="text/plain")


def metrics(request: HttpRequest) -> HttpResponse:
    """Counts read from the database at the moment of asking."""
    registry = CollectorRegistry()
    jobs = Gauge(
        "validator_jobs", "Stored jobs by kind and state", ["kind", "state"], registry=registry
    )
    for kind, state, count in Job.objects.values_list("kind", "state").annotate(n=Count("pk")):
        jobs.labels(kind, state).set(count)
    serving = Gauge("validator_serving_neurons", "Neurons with an address", registry=registry)
    serving.set(Neuron.objects.filter(registered=True, port__gt=0).count())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
