"""Columns of admin lists that abbreviate long values."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.utils.html import format_html

HEAD_CHARACTERS = 8
TAIL_CHARACTERS = 4
IMAGE_CHARACTERS = 32


def abbreviated(text: str, head: int = HEAD_CHARACTERS, tail: int = TAIL_CHARACTERS) -> str:
    """`text` with its middle left out if that is shorter; the full text is shown on hover."""
    if len(text) <= head + tail + 1:
        return text or "-"
    return format_html('<span title="{}">{}…{}</span>', text, text[:head], text[-tail:])


def hotkey(field: str) -> Callable[[Model], str]:
    """A column for the hotkey in `field`, abbreviated to its beginning and end."""
    return _column(field, HEAD_CHARACTERS, TAIL_CHARACTERS)


def image(field: str = "docker_image") -> Callable[[Model], str]:
    """A column for the image name in `field`, abbreviated mostly to its beginning."""
    return _column(field, IMAGE_CHARACTERS - TAIL_CHARACTERS, TAIL_CHARACTERS)


def _column(field: str, head: int, tail: int) -> Callable[[Model], str]:
    @admin.display(description=field.removesuffix("_id").replace("_", " "), ordering=field)
    def column(row: Any) -> str:
        return abbreviated(str(getattr(row, field)), head, tail)

    column.__name__ = f"{field}_abbreviated"
    return column
