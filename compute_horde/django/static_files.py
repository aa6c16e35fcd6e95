"""Serves the admin's static files; safe for any requested path."""

from typing import Any

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.exceptions import SuspiciousOperation
from django.core.handlers.exception import response_for_exception
from django.http import Http404


class StaticFilesHandler(ASGIStaticFilesHandler):
    """Responds with 404 to paths that lead out of the static files or are no valid path."""

    async def get_response_async(self, request: Any) -> Any:
        """The file, or a 404 response."""
        try:
            return await super().get_response_async(request)
        except (SuspiciousOperation, ValueError, OSError):
            return response_for_exception(request, Http404("no such file"))
