"""The admin page of the present executors."""

from time import monotonic

from django.contrib import admin
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse
from django.template.response import TemplateResponse

from miner.executors.executor import Executor


def executors_page(request: ASGIRequest) -> HttpResponse:
    """The page: each executor's state and job, and the failed starts of each class."""
    pool = request.scope["miner"].pool
    context = {
        **admin.site.each_context(request),
        "title": "Executors",
        "slots": [(str(cls), slots) for cls, slots in pool.slots.items()],
        "executors": [(one, _job(one), _age(one)) for one in pool.executors],
    }
    return TemplateResponse(request, "admin/executors.html", context)


def _job(executor: Executor) -> str:
    return executor.assignment.job_uuid if executor.assignment else ""


def _age(executor: Executor) -> str:
    return f"{monotonic() - executor.connected_at:.0f} s" if executor.connected_at else ""
