"""Admin pages of jobs, job events and signers; operators create and cancel jobs here."""

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

from compute_horde.django.admin_columns import hotkey, image
from compute_horde.django.job_record import notify
from compute_horde.django.large_lists import LargeListAdmin
from compute_horde.failure_messages import fault_of_message
from compute_horde.lifecycle import FINAL
from compute_horde.protocol.extensions import JobCancelled
from compute_horde.protocol.job import JobFailed, JobFinished
from compute_horde.protocol.links import MINER_TO_VALIDATOR
from compute_horde.vocabulary import JobState, Party
from validator.jobs import actions
from validator.jobs.forms import AdminJobForm
from validator.jobs.models import AllowedSigner, BindingSigner, Job, JobEvent, KnownFacilitator
from validator.jobs.queries import LISTENER_KINDS

SHOWN_CHARACTERS = 100_000


def final_message(job: Job) -> tuple[Any, Party] | None:
    """The message that ended the job and who sent it, or None."""
    event = job.events.filter(state__in=FINAL).last()
    return (MINER_TO_VALIDATOR.decode(event.body), Party(event.said_by)) if event else None


def progress(job: Job) -> list[dict[str, Any]]:
    """Every state the job was in, since when, and how long after the previous one."""
    rows: list[dict[str, Any]] = [{"state": JobState.RECEIVED, "at": job.created_at, "said_by": ""}]
    rows += [
        {"state": event.state, "at": event.created_at, "said_by": event.said_by}
        for event in job.events.all()
    ]
    for before, row in pairwise(rows):
        row["after"] = f"{(row['at'] - before['at']).total_seconds():.3f} s"
    return rows


def outcome(job: Job) -> dict[str, Any]:
    """The result of the job for its page: reason, fault, output, artifacts and uploads."""
    end, sent_by = final_message(job) or (None, Party.UNKNOWN)
    shown: dict[str, Any] = {"message": getattr(end, "message", ""), "artifacts": []}
    shown["reason"] = getattr(end, "reason", "")
    if end and not isinstance(end, JobFinished):
        shown["fault"] = fault_of_message(end, sent_by)
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
class JobAdmin(LargeListAdmin):
    """Every job; `add` creates an operator's own."""

    list_display = [
        "uuid",
        "kind",
        "state",
        "executor_class",
        image(),
        hotkey("miner"),
        "created_at",
    ]
    list_filter = ["kind", "state", "executor_class", "created_at"]
    search_fields = ["uuid", "miner", "signatory", "docker_image"]
    exact_fields = ("uuid", "miner")
    indexed_filters = ("state", "created_at")
    unlisted_fields = ("spec",)
    change_form_template = "admin/jobs/job/change_form.html"
    new_job_fields = (
        "docker_image", "args", "env", "executor_class", "wanted_miner", "on_trusted_miner",
        "artifacts_dir", "download_time_limit", "execution_time_limit", "upload_time_limit",
    )  # fmt: skip
    shown_fields = (
        "uuid", "kind", "state", "state_since", "created_at", "executor_class", "docker_image",
        "signatory", "wanted_miner", "miner", "accepted_at", "deadline", "told",
        "cheat_reported_at", "cancel_asked_at", "spec",
    )  # fmt: skip

    def has_add_permission(self, request: HttpRequest, obj: Job | None = None) -> bool:
        """Jobs of the operator are started here."""
        return admin.ModelAdmin.has_add_permission(self, request)

    def get_fields(self, request: HttpRequest, obj: Job | None = None) -> tuple[str, ...]:
        """The input fields of a new job, or all fields of a stored one."""
        return self.shown_fields if obj else self.new_job_fields

    def get_form(
        self, request: HttpRequest, obj: Job | None = None, *args: Any, **kwargs: Any
    ) -> type[forms.ModelForm]:
        """`AdminJobForm` for a new job."""
        return super().get_form(request, obj, *args, **kwargs) if obj else AdminJobForm

    def save_model(self, request: HttpRequest, obj: Job, form: Any, *args: Any) -> None:
        """Store the new job and notify the listener."""
        obj.uuid = actions.create_admin_job(form.request(), miner=form.miner).uuid

    def response_add(
        self, request: HttpRequest, obj: Job, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Redirect to the page of the new job."""
        return HttpResponseRedirect(reverse("admin:jobs_job_change", args=[obj.uuid]))

    def get_urls(self) -> list[URLPattern]:
        """Add the URLs that download an artifact and cancel a job."""
        wrapped = self.admin_site.admin_view
        artifact = path("<uuid:uuid>/artifact/", wrapped(self.artifact), name="jobs_job_artifact")
        cancel = path("<uuid:uuid>/cancel/", wrapped(self.cancel), name="jobs_job_cancel")
        return [artifact, cancel, *super().get_urls()]

    def cancel(self, request: HttpRequest, uuid: UUID) -> HttpResponse:
        """Cancel a job; allowed to everybody who may create jobs."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_add_permission(request):
            raise PermissionDenied
        job = get_object_or_404(Job, pk=uuid, kind__in=LISTENER_KINDS)
        if actions.cancel(str(job.uuid)):
            self.log_change(request, job, "cancelled")
        else:
            self.message_user(request, "The job had ended already.", messages.WARNING)
        return HttpResponseRedirect(reverse("admin:jobs_job_change", args=[job.uuid]))

    def artifact(self, request: HttpRequest, uuid: str) -> HttpResponse:
        """Download one artifact of a job."""
        job = get_object_or_404(Job, pk=uuid)
        name = request.GET.get("name", "")
        end, _ = final_message(job) or (None, None)
        found = getattr(end, "artifacts", None) or {}
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
        """Add the job's progress and result to the page."""
        if job := kwargs.get("obj"):
            context |= {"job": job, "progress": progress(job), "outcome": outcome(job)}
            context["may_cancel"] = (
                not (job.is_final or job.cancel_asked_at)
                and job.kind in LISTENER_KINDS
                and self.has_add_permission(request)
            )
        return super().render_change_form(request, context, *args, **kwargs)


@admin.register(JobEvent)
class JobEventAdmin(LargeListAdmin):
    """Messages that changed the state of a job, as they were received."""

    list_display = ["job_id", "state", "said_by", "created_at"]
    list_filter = ["state", "said_by", "created_at"]
    search_fields = ["job__uuid"]
    exact_fields = ("job",)
    newest_by = "id"
    unlisted_fields = ("body",)


@admin.register(AllowedSigner)
class AllowedSignerAdmin(admin.ModelAdmin):
    """Signers whose jobs are accepted, in addition to `VALIDATOR_ALLOWED_SIGNERS`."""

    list_display = ["hotkey", "note", "created_at"]
    search_fields = ["hotkey", "note"]

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Notify the listener of the new row."""
        notify(actions.CHANNEL)
        return super().log_addition(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Notify the listener of the deleted rows."""
        notify(actions.CHANNEL)
        return super().log_deletions(request, queryset)


@admin.register(KnownFacilitator)
class KnownFacilitatorAdmin(admin.ModelAdmin):
    """Facilitators that get only logins by challenge; delete one to allow the published login."""

    list_display = ("url", "challenges_since")


@admin.register(BindingSigner)
class BindingSignerAdmin(AllowedSignerAdmin):
    """Users who bind their requests; delete one to accept its unbound requests again."""

    list_display = ["hotkey", "since"]
    search_fields = ["hotkey"]
