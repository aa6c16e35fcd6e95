"""The Django app with the templates and static files that the admin sites share; no models."""

from django.apps import AppConfig


class SharedPages(AppConfig):
    """Only services with an admin site install it."""

    name = "compute_horde.django"
    label = "compute_horde"
