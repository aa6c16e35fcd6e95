"""The URL routes of both ports; `miner.asgi` says which paths are public."""

from django.contrib import admin
from django.urls import path

from compute_horde.django import health
from miner import http_views
from miner.earnings.admin import earnings_page
from miner.executors.admin import executors_page
from miner.hotkeys.admin import main_hotkey_page

admin.site.site_header = admin.site.site_title = "ComputeHorde miner"
# The port has no page besides the admin site to link to.
admin.site.site_url = None
# It takes the room that columns need.
admin.site.enable_nav_sidebar = False

urlpatterns = [
    path("health", health.page),
    path("version", http_views.version_page),
    path("metrics", http_views.metrics_page),
    path("receipts/<int:page>.jsonl", http_views.receipt_page),
    path("admin/earnings/", admin.site.admin_view(earnings_page), name="earnings"),
    path("admin/main-hotkey/", admin.site.admin_view(main_hotkey_page), name="main_hotkey"),
    path("admin/executors/", admin.site.admin_view(executors_page), name="executors"),
    path("admin/", admin.site.urls),
]
