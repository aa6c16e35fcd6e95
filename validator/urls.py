"""The addresses of the admin site."""

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from validator import health

admin.site.site_header = admin.site.site_title = "ComputeHorde validator"

urlpatterns = [
    path("", RedirectView.as_view(url="/admin/")),
    path("admin/", admin.site.urls),
    path("health", health.health),
    path("metrics", health.metrics),
]
