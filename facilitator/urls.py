"""The URL routes."""

from django.contrib import admin
from django.urls import path

from compute_horde.django import health
from facilitator import metrics
from facilitator.api import pages
from facilitator.api.jobs import api

urlpatterns = [
    path("", pages.index),
    path("health", health.page),
    path("metrics", metrics.page),
    path("admin/", admin.site.urls),
    path("", api.urls),
]
