"""The addresses of the admin site."""

from django.contrib import admin
from django.urls import path, re_path
from django.views.generic import RedirectView

from compute_horde.django import health
from validator import metrics
from validator.operators import pages
from validator.scores.views import HOTKEY, explanation

admin.site.site_header = admin.site.site_title = "ComputeHorde validator"
# It takes the room that columns need.
admin.site.enable_nav_sidebar = False

urlpatterns = [
    path("", RedirectView.as_view(url="/admin/")),
    path("admin/cycles/", pages.cycles, name="cycles"),
    # The first cycle of a young chain begins before its block 0.
    re_path(r"^admin/cycles/(?P<start>-?[0-9]{1,12})/$", pages.cycle, name="cycle"),
    path("admin/points/", pages.points, name="points"),
    path("admin/", admin.site.urls),
    path("health", health.page),
    path("metrics", metrics.page),
    re_path(rf"^scores/{HOTKEY}$", explanation),
    re_path(rf"^scores/(?P<cycle_start>[0-9]{{1,12}})/{HOTKEY}$", explanation),
]
