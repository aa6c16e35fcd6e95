"""The executors as they are now, to look at."""

from time import monotonic

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from miner.executors.pool import Executor


def executors_page(request: HttpRequest) -> HttpResponse:
    """Each executor's state and job, and what keeps crashing."""
    pool = request.scope["miner"].pool
    context = {
        **admin.site.each_context(request),
        "title": "Executors",
        "slots": [(str(cls), slots) for cls, slots in pool.slots.items()],
        "executors": [(one, _job(one), _age(one)) for one in pool.executors],
    }
    return TemplateResponse(request, "admin/executors.html", context)


def _job(executor: Executor) -> str:
    return executor.tenant.job_uuid if executor.tenant else ""


def _age(executor: Executor) -> str:
    return f"{monotonic() - executor.connected_at:.0f} s" if executor.connected_at else ""
