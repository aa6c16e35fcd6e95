"""Which path leads where."""

from django.contrib import admin
from django.urls import path

from facilitator import pages
from facilitator.api import api

urlpatterns = [
    path("", pages.front),
    path("health", pages.health),
    path("metrics", pages.numbers),
    path("admin/", admin.site.urls),
    path("", api.urls),
]
