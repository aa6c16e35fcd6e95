"""Plain HTTP: is it alive, which version, how many, receipt pages."""

import asyncio
import gzip
from importlib.metadata import PackageNotFoundError, version

from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CONTENT_TYPE_LATEST

from compute_horde.django.database import in_database
from miner import metrics
from miner.config import config
from miner.receipts import actions, rules

HEALTH_SECONDS = 3.0
DISTRIBUTION = "compute-horde-sdk"


async def health(_request: HttpRequest) -> HttpResponse:
    """`ok` when the database answers."""
    try:
        async with asyncio.timeout(HEALTH_SECONDS):
            await in_database(_ask)
    except TimeoutError:
        return HttpResponse("no database", status=503, content_type="text/plain")
    return HttpResponse("ok", content_type="text/plain")


def _ask() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


async def versions(_request: HttpRequest) -> JsonResponse:
    """What runs here (protocol §10)."""
    try:
        ours = version(DISTRIBUTION)
    except PackageNotFoundError:
        ours = "unknown"
    return JsonResponse({"miner_version": ours, "runner_version": "unknown"})


async def measures(request: HttpRequest) -> HttpResponse:
    """Numbers for Prometheus."""
    text = metrics.exposition(request.scope["miner"])
    return HttpResponse(text, content_type=CONTENT_TYPE_LATEST)


async def receipt_page(request: HttpRequest, page: int) -> HttpResponse:
    """The receipts stored in five minutes (protocol §7.4, §7.5)."""
    if not config.publish_receipts:
        raise Http404
    body = (await in_database(actions.page_text, page)).encode()
    if not body:
        raise Http404
    part = rules.slice_of(request.headers.get("Range"), len(body))
    answer = HttpResponse(status=part.status, content_type="application/jsonl")
    match part.status:
        case 206:
            answer["Content-Range"] = f"bytes {part.start}-{len(body) - 1}/{len(body)}"
            answer.content = body[part.start :]
        case 416:
            answer["Content-Range"] = f"bytes */{len(body)}"
        case _ if "gzip" in request.headers.get("Accept-Encoding", ""):
            answer["Content-Encoding"] = "gzip"
            answer.content = gzip.compress(body, 6)
        case _:
            answer.content = body
    return answer
