"""The pages of cycles and of charts in the admin; for everybody who may see what they show."""

import re
from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from compute_horde.hardware import ExecutorClass
from validator.config import config
from validator.operators import points_chart, timeline
from validator.scores.recompute import RECOMPUTE
from validator.synthetic.run_now import RUN_BATCH
from validator.weights.explanations import next_window
from validator.weights.set_now import SET_WEIGHTS

NEEDED = ("synthetic.view_batch", "scores.view_scoredcycle", "weights.view_weightsset")
Page = Callable[..., HttpResponse]


def _guarded(page: Page) -> Page:
    """The page for staff who may see batches, scores and weights; 403 for others."""

    def view(request: HttpRequest, **arguments: Any) -> HttpResponse:
        if not request.user.has_perms(NEEDED):
            raise PermissionDenied
        return page(request, **arguments)

    return admin.site.admin_view(view)


def _shown(request: HttpRequest, name: str, title: str, **context: Any) -> HttpResponse:
    shared = {**admin.site.each_context(request), "title": title}
    return TemplateResponse(request, f"admin/operators/{name}.html", {**shared, **context})


def _cycles(request: HttpRequest) -> HttpResponse:
    before = request.GET.get("before", "")
    is_number = re.fullmatch(r"-?[0-9]{1,12}", before) is not None
    lines, has_more = timeline.lines(int(before) if is_number else None)
    return _shown(
        request,
        "cycles",
        "Cycles",
        subtitle=next_window(),
        lines=lines,
        has_more=has_more,
        is_newest=not is_number,
        buttons=_buttons(request),
    )


def _cycle(request: HttpRequest, start: str) -> HttpResponse:
    shown = timeline.timeline(int(start), config)
    if shown is None:
        raise Http404("no cycle that is known begins in this block")
    may_recompute = RECOMPUTE.is_allowed(request)
    return _shown(request, "cycle", f"Cycle {start}", timeline=shown, may_recompute=may_recompute)


def _points(request: HttpRequest) -> HttpResponse:
    chosen = points_chart.choice(request.GET.dict())
    return _shown(
        request,
        "points",
        "Points of miners",
        chart=points_chart.chart(chosen),
        chosen=chosen,
        measures=[measure.value for measure in points_chart.Measure],
        classes=[kind.value for kind in ExecutorClass],
        most_cycles=points_chart.MOST_CYCLES,
        most_miners=points_chart.MOST_MINERS,
    )


def _buttons(request: HttpRequest) -> dict[str, bool]:
    return {
        "run": RUN_BATCH.is_allowed(request),
        "set": SET_WEIGHTS.is_allowed(request),
    }


cycles = _guarded(_cycles)
cycle = _guarded(_cycle)
points = _guarded(_points)
