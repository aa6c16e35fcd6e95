"""The HTTP API for users (protocol §3): parses requests and formats responses."""

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from ninja import HeaderEx, NinjaAPI, P, Query, QueryEx, Router
from ninja.errors import ValidationError
from ninja.parser import Parser
from pydantic import BaseModel, Field

from compute_horde import frames
from compute_horde.django.connection_limits import leave_address
from compute_horde.protocol import extensions
from compute_horde.vocabulary import Extension
from facilitator.accounts import auth
from facilitator.accounts.auth import AuthenticatedRequest, Bearer
from facilitator.jobs import status_stream, store, submission
from facilitator.jobs.client_features import ClientFeatures, features_of
from facilitator.jobs.rules import CheatBody, JobBody, Text
from facilitator.logs import log_stream
from facilitator.web.errors import ApiError
from facilitator.web.response_deadline import query_within_deadline

PAGE_SIZE = 10
MAX_PAGE_SIZE = 256
JOBS_AT_ONCE = 4
MAX_PAGE = 10**6
MAX_EVENT_DIGITS = 19
MAX_EVENT = 2**62
# A 400 response lists so many validation errors, and so many characters of each.
MAX_LISTED_ERRORS = 20
MAX_ERROR_CHARACTERS = 500
# With more errors than this none is listed: collecting them would take too long.
MAX_COLLECTED_ERRORS = 1000
EVENT_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

CANCEL = (
    "Signed in the `X-CH-*` headers, scope `FullRequest`, over the JSON text of"
    ' `{"action": "cancel", "job_uuid": …}`. 202 while it is being cancelled, 200 when it has ended'
    " already, 409 when its validator cannot. Harmless to repeat."
)
SIGNED = "The body is signed in the `X-CH-*` headers by the hotkey that logged in."


class BoundedParser(Parser):
    """Parses JSON bodies within the limits of `compute_horde.frames`."""

    def parse_body(self, request: HttpRequest) -> Any:
        body = frames.parsed(request.body)
        if b"\\u" in request.body:
            # A lone escaped surrogate can be neither stored nor sent: raises `ValueError`.
            json.dumps(body, ensure_ascii=False).encode()
        return body


class BoundedAPI(NinjaAPI):
    """A `NinjaAPI` that lists validation errors only up to `MAX_COLLECTED_ERRORS`."""

    def validation_error_from_error_contexts(self, contexts: Any) -> ValidationError:
        count = sum(one.pydantic_validation_error.error_count() for one in contexts)
        if count <= MAX_COLLECTED_ERRORS:
            return super().validation_error_from_error_contexts(contexts)
        return ValidationError(
            [{"loc": ["body"], "msg": f"{count} values are not what they must be"}]
        )


api = BoundedAPI(
    title="ComputeHorde facilitator",
    version="1",
    docs_url="/api/docs",
    openapi_url="/api/openapi.json",
    parser=BoundedParser(),
)
router = Router(auth=Bearer(), tags=["jobs"])
api.add_router("/auth", auth.router)
api.add_router("/api/v1", router)


@router.post("/job-docker/", summary="Run a container", description=SIGNED)
async def create_job(request: AuthenticatedRequest, body: JobBody) -> HttpResponse:
    status, job = await submission.submit(request, body, request.auth)
    return JsonResponse(job, status=status)


@router.get("/jobs/{job_uuid}/", summary="One job")
async def read_job(request: AuthenticatedRequest, job_uuid: str) -> HttpResponse:
    client = features_of(request.headers)
    job = await query_within_deadline(store.own_job, _uuid(job_uuid), request.auth, client)
    if job is None:
        raise _not_found()
    return JsonResponse(job)


@router.get("/jobs/{job_uuid}/events", summary="A job's statuses as they come")
async def job_events(
    request: AuthenticatedRequest,
    job_uuid: str,
    last_event_id: HeaderEx[str, P(alias="Last-Event-ID")] = "0",
    announced: HeaderEx[str, P(alias=extensions.CLIENT_HEADER)] = "",
) -> StreamingHttpResponse:
    wants_progress = Extension.OUTPUT in extensions.in_header(announced)
    stream = await status_stream.open_stream(
        _uuid(job_uuid),
        request.auth,
        _position(last_event_id),
        features_of(request.headers),
        progress=wants_progress,
    )
    return _event_stream(request, stream)


@router.get("/jobs/{job_uuid}/logs", summary="A job's output as it is printed")
async def job_logs(
    request: AuthenticatedRequest,
    job_uuid: str,
    last_event_id: HeaderEx[str, P(alias="Last-Event-ID")] = "",
    start: QueryEx[str, P(alias="from")] = "0",
    follow: bool = True,  # noqa: FBT001, FBT002 (a query parameter)
) -> StreamingHttpResponse:
    position = _position(last_event_id or start, MAX_EVENT)
    stream = await log_stream.open_stream(_uuid(job_uuid), request.auth, position, follow=follow)
    return _event_stream(request, stream)


def _position(text: str, beyond: int = 0) -> int:
    """The position to resume at: 0 if `text` is no number, `beyond` if it has too many digits."""
    if not text.isdecimal():
        return 0
    return min(int(text), MAX_EVENT) if len(text) <= MAX_EVENT_DIGITS else beyond


def _event_stream(request: HttpRequest, stream: Any) -> StreamingHttpResponse:
    # Streams are counted by hotkey; many of its users may share an address.
    leave_address(getattr(request, "scope", {}))
    return StreamingHttpResponse(stream, content_type="text/event-stream", headers=EVENT_HEADERS)


@router.post("/jobs/{job_uuid}/cancel/", summary="End a job", description=CANCEL)
async def cancel_job(request: AuthenticatedRequest, job_uuid: str) -> HttpResponse:
    status, job = await submission.cancel(request, _uuid(job_uuid), request.auth)
    return JsonResponse(job, status=status)


class Filters(BaseModel):
    """Query parameters that select which of the caller's jobs to list."""

    page: int = 1
    page_size: int = PAGE_SIZE
    uuid: Annotated[list[UUID], Field(fail_fast=True)] = []
    tag: Text | None = None

    @property
    def size(self) -> int:
        """How many jobs a page holds."""
        return min(self.page_size, MAX_PAGE_SIZE) if self.page_size > 0 else PAGE_SIZE


@router.get("/jobs/", summary="Own jobs, newest first")
async def list_jobs(
    request: AuthenticatedRequest, filters: Query[Filters]
) -> StreamingHttpResponse:
    page, size = filters.page, filters.size
    if not 1 <= page < MAX_PAGE:
        raise _no_page()
    selected = [str(one) for one in filters.uuid]
    count, uuids = await query_within_deadline(
        store.own_jobs, request.auth, selected, filters.tag, first=(page - 1) * size, size=size
    )
    if page > 1 and not uuids:
        raise _no_page()
    head = {
        "count": count,
        "next": _page_url(request, page + 1) if page * size < count else None,
        "previous": _page_url(request, page - 1) if page > 1 else None,
    }
    stream = _page(head, uuids, features_of(request.headers))
    return StreamingHttpResponse(stream, content_type="application/json")


async def _page(
    head: dict[str, Any], uuids: list[UUID], client: ClientFeatures
) -> AsyncIterator[str]:
    """The response as text, read a few jobs at a time: each may hold megabytes of results."""
    yield f'{json.dumps(head)[:-1]}, "results": ['
    comma = ""
    for first in range(0, len(uuids), JOBS_AT_ONCE):
        for text in await query_within_deadline(
            store.job_views_json, uuids[first : first + JOBS_AT_ONCE], client
        ):
            yield comma + text
            comma = ", "
    yield "]}"


@router.post("/cheated-job/", summary="Report a wrong answer", description=SIGNED)
async def report_cheat(request: AuthenticatedRequest, body: CheatBody) -> HttpResponse:
    await submission.report_cheat(request, body, request.auth)
    return JsonResponse({"message": "Job reported as cheated"}, status=201)


@api.exception_handler(ApiError)
def api_error_response(request: HttpRequest, refusal: ApiError) -> HttpResponse:
    return JsonResponse(refusal.body, status=refusal.status, headers=refusal.headers, safe=False)


@api.exception_handler(ValidationError)
def validation_error_response(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """A 400 response with the errors by field: `{"executor_class": ["…"]}`."""
    fields: dict[str, list[str]] = {}
    for problem in error.errors[:MAX_LISTED_ERRORS]:
        # The first two names are the source (body, query) and our argument.
        where = ".".join(str(name) for name in problem["loc"][2:]) or str(problem["loc"][-1])
        text = problem["msg"][:MAX_ERROR_CHARACTERS]
        fields.setdefault(where[:MAX_ERROR_CHARACTERS], []).append(text)
    if len(error.errors) > MAX_LISTED_ERRORS:
        fields["and more"] = [
            f"{len(error.errors) - MAX_LISTED_ERRORS} further errors are not listed"
        ]
    return JsonResponse(fields, status=400)


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError as exc:
        raise _not_found() from exc


def _no_page() -> ApiError:
    return ApiError(404, {"detail": "Invalid page."})


def _not_found() -> ApiError:
    return ApiError(404, {"detail": "Not found."})


def _page_url(request: HttpRequest, page: int) -> str:
    query = request.GET.copy()
    query["page"] = str(page)
    address = f"{request.path}?{query.urlencode()}"
    # With any host allowed, the Host header is not trusted for an absolute URL.
    return address if "*" in settings.ALLOWED_HOSTS else request.build_absolute_uri(address)
