"""The miner's HTTP paths."""

from django.contrib import admin
from django.urls import path

from miner import views
from miner.executors.admin import executors_page

admin.site.site_header = admin.site.site_title = "ComputeHorde miner"

urlpatterns = [
    path("health", views.health),
    path("version", views.versions),
    path("metrics", views.measures),
    path("receipts/<int:page>.jsonl", views.receipt_page),
    path("admin/executors/", admin.site.admin_view(executors_page), name="executors"),
    path("admin/", admin.site.urls),
]
