"""The admin page of earnings."""

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from miner.earnings.report import report
from miner.hotkeys.models import CycleMainHotkey

LISTED_CYCLES = 30
# The link in `base_site.html` asks for the same.
PERMISSION = "earnings.view_cyclepay"


def earnings_page(request: HttpRequest) -> HttpResponse:
    """What this miner earned and lost in a cycle: the newest, or that of the query `cycle`."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    cycles = list(CycleMainHotkey.objects.all()[:LISTED_CYCLES])
    chosen = cycles[0] if cycles else None
    if wanted := request.GET.get("cycle"):
        chosen = next((one for one in cycles if str(one.cycle_start) == wanted), None)
        if chosen is None:
            raise Http404("no such cycle; it may have been evicted")
    one = report(chosen)
    context = {
        **admin.site.each_context(request),
        "title": f"Earnings, {one.title}",
        "report": one,
        "cycles": cycles,
        "chosen": chosen,
    }
    return TemplateResponse(request, "admin/earnings.html", context)
