"""The HTTP API of users (protocol §3): translates requests, decides nothing."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from ninja import Header, NinjaAPI, Query, Router
from ninja.errors import ValidationError
from ninja.parser import Parser
from pydantic import BaseModel

from compute_horde import frames
from compute_horde.protocol import extensions
from compute_horde.vocabulary import Extension
from facilitator import actions, events, login, orders, tails
from facilitator.clients import Client, client_of
from facilitator.login import Bearer
from facilitator.patience import promptly
from facilitator.refusal import Refusal
from facilitator.rules import CheatBody, JobBody, Text

PAGE_SIZE = 10
MAX_PAGE_SIZE = 256
JOBS_AT_ONCE = 4
MAX_PAGE = 10**6
MAX_EVENT_DIGITS = 19
MAX_EVENT = 2**62
EVENT_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

CANCEL = (
    "Signed in the `X-CH-*` headers, scope `FullRequest`, over the JSON text of"
    ' `{"action": "cancel", "job_uuid": …}`. 202 while it is being cancelled, 200 when it has ended'
    " already, 409 when its validator cannot. Harmless to repeat."
)
SIGNED = "The body is signed in the `X-CH-*` headers by the hotkey that logged in."


class BoundedParser(Parser):
    """JSON bodies of Unicode text, as long as reading them costs no more than they are worth."""

    def parse_body(self, request: HttpRequest) -> Any:
        body = frames.parsed(request.body)
        if b"\\u" in request.body:
            # Half of a surrogate pair may be escaped, but can be neither stored nor said again.
            json.dumps(body, ensure_ascii=False).encode()
        return body


api = NinjaAPI(
    title="ComputeHorde facilitator",
    version="1",
    docs_url="/api/docs",
    openapi_url="/api/openapi.json",
    parser=BoundedParser(),
)
router = Router(auth=Bearer(), tags=["jobs"])
api.add_router("/auth", login.router)
api.add_router("/api/v1", router)


@router.post("/job-docker/", summary="Run a container", description=SIGNED)
async def create_job(request: HttpRequest, body: JobBody) -> HttpResponse:
    status, job = await orders.submit(request, body, request.auth)
    return JsonResponse(job, status=status)


@router.get("/jobs/{job_uuid}/", summary="One job")
async def read_job(request: HttpRequest, job_uuid: str) -> HttpResponse:
    client = client_of(request.headers)
    job = await promptly(actions.own_job, _uuid(job_uuid), request.auth, client)
    if job is None:
        raise _not_found()
    return JsonResponse(job)


@router.get("/jobs/{job_uuid}/events", summary="A job's statuses as they come")
async def job_events(
    request: HttpRequest,
    job_uuid: str,
    last_event_id: str = Header("0", alias="Last-Event-ID"),
    announced: str = Header("", alias=extensions.CLIENT_HEADER),
) -> StreamingHttpResponse:
    wants_progress = Extension.OUTPUT in extensions.in_header(announced)
    stream = await events.listen(
        _uuid(job_uuid),
        request.auth,
        _number(last_event_id),
        client_of(request.headers),
        progress=wants_progress,
    )
    return _streamed(stream)


@router.get("/jobs/{job_uuid}/logs", summary="What a job prints, as it prints it")
async def job_logs(
    request: HttpRequest,
    job_uuid: str,
    last_event_id: str = Header("", alias="Last-Event-ID"),
    start: str = Query("0", alias="from"),
    follow: bool = True,  # noqa: FBT001, FBT002 (a query parameter)
) -> StreamingHttpResponse:
    position = _number(last_event_id or start, MAX_EVENT)
    return _streamed(await tails.read(_uuid(job_uuid), request.auth, position, follow=follow))


def _number(text: str, beyond: int = 0) -> int:
    """Where a client wants to go on: the beginning unless that is a number, maybe beyond ours."""
    if not text.isdecimal():
        return 0
    return min(int(text), MAX_EVENT) if len(text) <= MAX_EVENT_DIGITS else beyond


def _streamed(stream: Any) -> StreamingHttpResponse:
    return StreamingHttpResponse(stream, content_type="text/event-stream", headers=EVENT_HEADERS)


@router.post("/jobs/{job_uuid}/cancel/", summary="End a job", description=CANCEL)
async def cancel_job(request: HttpRequest, job_uuid: str) -> HttpResponse:
    status, job = await orders.cancel(request, _uuid(job_uuid), request.auth)
    return JsonResponse(job, status=status)


class Filters(BaseModel):
    """Which of the caller's jobs to list."""

    page: int = 1
    page_size: int = PAGE_SIZE
    uuid: list[UUID] = []
    tag: Text | None = None

    @property
    def size(self) -> int:
        """How many jobs a page holds."""
        return min(self.page_size, MAX_PAGE_SIZE) if self.page_size > 0 else PAGE_SIZE


@router.get("/jobs/", summary="Own jobs, newest first")
async def list_jobs(request: HttpRequest, wanted: Query[Filters]) -> HttpResponse:
    page, size = wanted.page, wanted.size
    if not 1 <= page < MAX_PAGE:
        raise _no_page()
    uuids = [str(one) for one in wanted.uuid]
    count, found = await promptly(
        actions.own_jobs, request.auth, uuids, wanted.tag, first=(page - 1) * size, size=size
    )
    if page > 1 and not found:
        raise _no_page()
    head = {
        "count": count,
        "next": _page_url(request, page + 1) if page * size < count else None,
        "previous": _page_url(request, page - 1) if page > 1 else None,
    }
    stream = _page(head, found, client_of(request.headers))
    return StreamingHttpResponse(stream, content_type="application/json")


async def _page(head: dict[str, Any], found: list[UUID], client: Client) -> AsyncIterator[str]:
    """A few jobs at a time: each may hold megabytes of results."""
    yield f'{json.dumps(head)[:-1]}, "results": ['
    comma = ""
    for first in range(0, len(found), JOBS_AT_ONCE):
        for text in await promptly(actions.looks, found[first : first + JOBS_AT_ONCE], client):
            yield comma + text
            comma = ", "
    yield "]}"


@router.post("/cheated-job/", summary="Report a wrong answer", description=SIGNED)
async def report_cheat(request: HttpRequest, body: CheatBody) -> HttpResponse:
    await orders.report_cheat(request, body, request.auth)
    return JsonResponse({"message": "Job reported as cheated"}, status=201)


@api.exception_handler(Refusal)
def refuse(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    return JsonResponse(refusal.body, status=refusal.status, headers=refusal.headers, safe=False)


@api.exception_handler(ValidationError)
def refuse_fields(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """What is wrong, field by field: `{"executor_class": ["…"]}`."""
    fields: dict[str, list[str]] = {}
    for problem in error.errors:
        # The first two names are ours: where we looked, and for what argument.
        where = ".".join(str(name) for name in problem["loc"][2:]) or str(problem["loc"][-1])
        fields.setdefault(where, []).append(problem["msg"])
    return JsonResponse(fields, status=400)


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError as exc:
        raise _not_found() from exc


def _no_page() -> Refusal:
    return Refusal(404, {"detail": "Invalid page."})


def _not_found() -> Refusal:
    return Refusal(404, {"detail": "Not found."})


def _page_url(request: HttpRequest, page: int) -> str:
    query = request.GET.copy()
    query["page"] = str(page)
    return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")
