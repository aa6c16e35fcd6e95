"""The admin site as an ASGI application."""

import os

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "validator.settings")  # noqa: TID251

application = ASGIStaticFilesHandler(get_asgi_application())
