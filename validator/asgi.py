"""The admin site as an ASGI application."""

import os

from django.core.asgi import get_asgi_application

from compute_horde.django.static_files import StaticFilesHandler

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "validator.settings")  # noqa: TID251

application = StaticFilesHandler(get_asgi_application())
