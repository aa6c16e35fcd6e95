"""Jobs in admin: order one, watch any."""

import base64
import binascii
from itertools import pairwise
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse

from compute_horde.django.job_record import notify
from compute_horde.lifecycle import FINAL
from compute_horde.protocol.extensions import JobCancelled
from compute_horde.protocol.job import JobFailed, JobFinished
from compute_horde.protocol.links import MINER_TO_VALIDATOR
from compute_horde.vocabulary import JobState
from validator.jobs import actions
from validator.jobs.forms import OrderForm
from validator.jobs.models import AllowedSigner, Job, JobEvent
from validator.jobs.queries import CONDUCTED
from validator.readonly import ReadOnlyAdmin

SHOWN_CHARACTERS = 100_000


def last_word(job: Job) -> Any:
    """The message that ended the job, or None."""
    event = job.events.filter(state__in=FINAL).last()
    return MINER_TO_VALIDATOR.decode(event.body) if event else None


def progress(job: Job) -> list[dict[str, Any]]:
    """Every state the job was in, since when, and how long after the one before."""
    rows: list[dict[str, Any]] = [{"state": JobState.RECEIVED, "at": job.created_at, "said_by": ""}]
    rows += [
        {"state": event.state, "at": event.created_at, "said_by": event.said_by}
        for event in job.events.all()
    ]
    for before, row in pairwise(rows):
        row["after"] = f"{(row['at'] - before['at']).total_seconds():.3f} s"
    return rows


def outcome(job: Job) -> dict[str, Any]:
    """What the job left behind, for its page."""
    end = last_word(job)
    shown: dict[str, Any] = {"message": getattr(end, "message", ""), "artifacts": []}
    shown["reason"] = getattr(end, "reason", "")
    if isinstance(end, JobFinished | JobFailed | JobCancelled):
        shown["stdout"] = (end.docker_process_stdout or "")[:SHOWN_CHARACTERS]
        shown["stderr"] = (end.docker_process_stderr or "")[:SHOWN_CHARACTERS]
    if isinstance(end, JobFailed):
        shown["exit_status"] = end.docker_process_exit_status
    if isinstance(end, JobFinished):
        artifacts = (end.artifacts or {}).items()
        shown["artifacts"] = [(name, len(text) * 3 // 4) for name, text in artifacts]
        shown["uploads"] = end.upload_results or {}
    return shown


@admin.register(Job)
class JobAdmin(admin.ModelAdmin):
    """Every job; `add` orders one."""

    list_display = [
        "uuid",
        "kind",
        "state",
        "executor_class",
        "docker_image",
        "miner",
        "created_at",
    ]
    list_filter = ["kind", "state", "executor_class", "created_at"]
    search_fields = ["uuid", "miner", "signatory", "docker_image"]
    date_hierarchy = "created_at"
    change_form_template = "admin/jobs/job/change_form.html"
    order_fields = [
        "docker_image", "args", "env", "executor_class", "wanted_miner", "on_trusted_miner",
        "artifacts_dir", "download_time_limit", "execution_time_limit", "upload_time_limit",
    ]  # fmt: skip
    shown_fields = [
        "uuid", "kind", "state", "state_since", "created_at", "executor_class", "docker_image",
        "signatory", "wanted_miner", "miner", "accepted_at", "deadline", "told",
        "cheat_reported_at", "cancel_asked_at", "spec",
    ]  # fmt: skip

    def has_change_permission(self, request: HttpRequest, obj: Job | None = None) -> bool:
        """What happened, happened."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Job | None = None) -> bool:
        """Eviction deletes."""
        return False

    def get_fields(self, request: HttpRequest, obj: Job | None = None) -> list[str]:
        """What to ask of a new job, what to show of an old one."""
        return self.shown_fields if obj else self.order_fields

    def get_form(
        self, request: HttpRequest, obj: Job | None = None, *args: Any, **kwargs: Any
    ) -> type[forms.ModelForm]:
        """New jobs are ordered by a form of their own."""
        return super().get_form(request, obj, *args, **kwargs) if obj else OrderForm

    def save_model(self, request: HttpRequest, obj: Job, form: Any, *args: Any) -> None:
        """Hand the order to the listener."""
        obj.uuid = actions.order(form.request(), miner=form.miner).uuid

    def response_add(
        self, request: HttpRequest, obj: Job, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Go where the job can be watched."""
        return HttpResponseRedirect(reverse("admin:jobs_job_change", args=[obj.uuid]))

    def get_urls(self) -> list[URLPattern]:
        """Also one for artifacts, and one to cancel."""
        wrapped = self.admin_site.admin_view
        artifact = path("<uuid:uuid>/artifact/", wrapped(self.artifact), name="jobs_job_artifact")
        cancel = path("<uuid:uuid>/cancel/", wrapped(self.cancel), name="jobs_job_cancel")
        return [artifact, cancel, *super().get_urls()]

    def cancel(self, request: HttpRequest, uuid: UUID) -> HttpResponse:
        """Have a job ended; whoever may order jobs may do that."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_add_permission(request):
            raise PermissionDenied
        job = get_object_or_404(Job, pk=uuid, kind__in=CONDUCTED)
        if actions.cancel(str(job.uuid)):
            self.log_change(request, job, "cancelled")
        else:
            self.message_user(request, "The job had ended already.", messages.WARNING)
        return HttpResponseRedirect(reverse("admin:jobs_job_change", args=[job.uuid]))

    def artifact(self, request: HttpRequest, uuid: str) -> HttpResponse:
        """One file a job left behind."""
        job = get_object_or_404(Job, pk=uuid)
        name = request.GET.get("name", "")
        found = getattr(last_word(job), "artifacts", None) or {}
        try:
            content = base64.b64decode(found[name], validate=True)
        except (KeyError, binascii.Error) as exc:
            raise Http404("no such artifact") from exc
        answer = HttpResponse(content, content_type="application/octet-stream")
        answer.headers["Content-Disposition"] = "attachment"
        return answer

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """The page shows how far the job is."""
        if job := kwargs.get("obj"):
            context |= {"job": job, "progress": progress(job), "outcome": outcome(job)}
            context["may_cancel"] = (
                not (job.is_final or job.cancel_asked_at)
                and job.kind in CONDUCTED
                and self.has_add_permission(request)
            )
        return super().render_change_form(request, context, *args, **kwargs)


@admin.register(JobEvent)
class JobEventAdmin(ReadOnlyAdmin):
    """Facts as they were heard."""

    list_display = ["job_id", "state", "said_by", "created_at"]
    list_filter = ["state", "said_by", "created_at"]
    search_fields = ["job__uuid"]


@admin.register(AllowedSigner)
class AllowedSignerAdmin(admin.ModelAdmin):
    """Whose jobs we take, beside those the environment names."""

    list_display = ["hotkey", "note", "created_at"]
    search_fields = ["hotkey", "note"]

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """The listener hears of it at once."""
        notify(actions.CHANNEL)
        return super().log_addition(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Also when one is no longer allowed."""
        notify(actions.CHANNEL)
        return super().log_deletions(request, queryset)
