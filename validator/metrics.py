"""Metrics for Prometheus."""

from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from compute_horde.django.metrics_access import refuse_metrics
from validator.config import config
from validator.jobs.models import Job
from validator.network.models import Neuron
from validator.receipts.metrics import TransferMetrics
from validator.weights import alarms


def page(request: HttpRequest) -> HttpResponse:
    """The metrics page; its counts are read from the database at each request."""
    if refusal := refuse_metrics(request, config.metrics_token, "VALIDATOR_METRICS_TOKEN"):
        return refusal
    registry = CollectorRegistry()
    jobs = Gauge(
        "validator_jobs", "Stored jobs by kind and state", ["kind", "state"], registry=registry
    )
    for kind, state, count in Job.objects.values_list("kind", "state").annotate(n=Count("*")):
        jobs.labels(kind, state).set(count)
    serving = Gauge("validator_serving_neurons", "Neurons with an address", registry=registry)
    serving.set(Neuron.objects.filter(registered=True, port__gt=0).count())
    registry.register(TransferMetrics())
    weights = alarms.status(config)
    danger = Gauge(
        "validator_weights_window_in_danger",
        "1 when the window for weights closes soon and the chain has not accepted them",
        registry=registry,
    )
    danger.set(weights.is_window_in_danger)
    if weights.epochs_since_landing is not None:
        landed = Gauge(
            "validator_epochs_since_weights_landed",
            "Epochs since the chain last held weights as they were sent; alarm at 3",
            registry=registry,
        )
        landed.set(weights.epochs_since_landing)
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
