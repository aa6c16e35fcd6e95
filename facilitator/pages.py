"""Pages for machines and operators, beside the API."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from facilitator import actions, metrics
from facilitator.patience import promptly
from facilitator.refusal import Refusal


async def health(request: HttpRequest) -> HttpResponse:
    """`ok` while the database answers."""
    try:
        await promptly(actions.is_allowed, "")
    except Refusal:
        return HttpResponse("database unavailable", status=503, content_type="text/plain")
    return HttpResponse("ok", content_type="text/plain")


async def numbers(request: HttpRequest) -> HttpResponse:
    """What Prometheus scrapes."""
    return HttpResponse(metrics.page(), content_type="text/plain; version=0.0.4")


async def front(request: HttpRequest) -> HttpResponse:
    """People who come by are shown the API."""
    return redirect("/api/docs")
