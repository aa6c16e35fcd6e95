"""A button of an admin site whose action is previewed, confirmed, recorded and done by a worker.

    GET   what the action would do, and a form with a key and the digest of what is shown
    POST  the same is computed again; unless it changed, the action is recorded and queued

The view is made by `ConfirmedAction.view` and belongs behind `AdminSite.admin_view`.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID, uuid4

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from compute_horde.django.action_record import ActionRecord, close_lost
from compute_horde.errors import ComputeHordeError

log = logging.getLogger(__name__)

TEMPLATE = "compute_horde/confirm_action.html"
# Of a longer table the rest is counted only.
MAX_ROWS = 600
CONFLICT = 409
CHANGED = (
    "What would be done has changed since the page was made: look at it again, then confirm it"
)


class NotQueuedError(ComputeHordeError):
    """The action could not be given to a worker; the message says why and what to do."""


class NotDoneError(ComputeHordeError):
    """The worker did not do what was confirmed; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class PreviewTable:
    """A table of a preview."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Preview:
    """What an action would do.

    `decided` is what the operator confirms, as JSON values; `facts` and `tables` show it.
    `obstacles` say why it cannot be done now, each with the next step.
    """

    decided: Any
    facts: Sequence[tuple[str, str]] = ()
    tables: Sequence[PreviewTable] = ()
    obstacles: Sequence[str] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of what is confirmed."""
        return digest_of(self.decided)

    def shown(self) -> dict[str, Any]:
        """What is stored of it: the facts, and of each table as many rows as are shown."""
        return {
            "facts": [list(fact) for fact in self.facts],
            "tables": [asdict(_shortened(table)) for table in self.tables],
        }


def digest_of(decided: Any) -> str:
    """The digest of JSON values, whatever the order of their keys."""
    text = json.dumps(decided, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ConfirmedAction:
    """A button: its texts, the permission it needs, its preview, and how a worker is told.

    `preview` and `back` take the subject, such as the cycle in the address, which is empty where
    there is none. `queue` gets the key of the recorded action, and raises `NotQueuedError`.
    """

    name: str
    title: str
    button: str
    explanation: str
    permission: str
    records: type[ActionRecord]
    preview: Callable[[str], Preview]
    queue: Callable[[str], None]

    def is_allowed(self, request: HttpRequest) -> bool:
        """Whether the user may do this: without it there is neither button nor page."""
        return bool(getattr(request, "user", None)) and request.user.has_perm(self.permission)

    def view(self, request: HttpRequest, subject: str = "") -> HttpResponse:
        """The page with the preview, and what its form sends."""
        if not self.is_allowed(request):
            raise PermissionDenied
        if request.method == "POST":
            return self._confirmed(request, str(subject))
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "POST"])
        return self._page(request, str(subject), self._preview(str(subject)))

    def _preview(self, subject: str) -> Preview:
        preview = self.preview(subject)
        close_lost(self.records._default_manager.all())
        states = self.records.State
        open_ones = self.records._default_manager.filter(
            name=self.name, subject=subject, state__in=(states.QUEUED, states.RUNNING)
        )
        if (other := open_ones.first()) is None:
            return preview
        at = f"{other.asked_at:%H:%M:%S} UTC"
        text = f"The same is under way since {at}, asked for by {other.user}: wait until it ended"
        return Preview(preview.decided, preview.facts, preview.tables, (*preview.obstacles, text))

    def _confirmed(self, request: HttpRequest, subject: str) -> HttpResponse:
        token = _token(request.POST)
        if token and self.records._default_manager.filter(pk=token).exists():
            return self._to_record(token)
        preview = self._preview(subject)
        if token is None or request.POST.get("digest") != preview.digest:
            return self._page(request, subject, preview, problem=CHANGED)
        if preview.obstacles:
            return self._page(request, subject, preview)
        try:
            with transaction.atomic():
                record = self.records._default_manager.create(
                    token=token,
                    name=self.name,
                    subject=subject,
                    user=request.user.get_username(),
                    preview=preview.shown(),
                    digest=preview.digest,
                )
        except IntegrityError:
            # The same form was sent twice at once; the other request queues it.
            return self._to_record(token)
        log.info("action asked for", extra={"action": self.name, "user": record.user})
        try:
            self.queue(str(token))
        except NotQueuedError as exc:
            record.end(self.records.State.FAILED, str(exc))
        return self._to_record(token)

    def _to_record(self, token: UUID) -> HttpResponse:
        meta = self.records._meta
        name = f"admin:{meta.app_label}_{meta.model_name}_change"
        return HttpResponseRedirect(reverse(name, args=[token]))

    def _page(
        self, request: HttpRequest, subject: str, preview: Preview, problem: str = ""
    ) -> HttpResponse:
        is_refused = bool(problem or (preview.obstacles and request.method == "POST"))
        context = {
            **admin.site.each_context(request),
            "title": f"{self.title} {subject}".rstrip(),
            "action": self,
            "preview_title": "What would be done",
            "facts": preview.facts,
            "tables": [(_shortened(one), len(one.rows) - MAX_ROWS) for one in preview.tables],
            "obstacles": preview.obstacles,
            "problem": problem,
            "token": uuid4(),
            "digest": preview.digest,
        }
        status = CONFLICT if is_refused else None
        return TemplateResponse(request, TEMPLATE, context, status=status)


def check_still_confirmed(record: ActionRecord, preview: Preview) -> None:
    """What a worker checks first: that it would do what the operator saw.

    Raises:
        NotDoneError: it cannot be done any more, or something else would be done.
    """
    if preview.obstacles:
        raise NotDoneError(f"Nothing was done. {' '.join(preview.obstacles)}")
    if preview.digest != record.digest:
        raise NotDoneError(f"Nothing was done. {CHANGED}")


def _token(form: Mapping[str, Any]) -> UUID | None:
    try:
        return UUID(str(form.get("token", "")))
    except ValueError:
        return None


def _shortened(table: PreviewTable) -> PreviewTable:
    return PreviewTable(table.title, tuple(table.headings), tuple(table.rows[:MAX_ROWS]))
