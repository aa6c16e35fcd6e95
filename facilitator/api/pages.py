"""The index page beside the API."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect


async def index(request: HttpRequest) -> HttpResponse:
    """Redirect visitors to the API documentation."""
    return redirect("/api/docs")
