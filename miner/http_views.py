"""The HTTP views: version, metrics, and receipt pages."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CONTENT_TYPE_LATEST

from miner import metrics
from miner.config import config
from miner.other_copy import NONCE_HEADER
from miner.receipts import rules
from miner.receipts.compression import PageCompressor
from miner.receipts.pages import PageCopy, PageMemoryError, PageReader

DISTRIBUTION = "compute-horde-sdk"

RETRY_SECONDS = 5

compressor = PageCompressor()
pages = PageReader()


class PageResponse(HttpResponse):
    """A response that keeps its page copy in memory, and counted, until it is sent."""

    def __init__(self, copy: PageCopy, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.copy = copy


async def version_page(request: ASGIRequest) -> JsonResponse:
    """The versions in use (protocol §10), and the proof for the nonce of another copy."""
    try:
        installed = version(DISTRIBUTION)
    except PackageNotFoundError:
        installed = "unknown"
    miner = request.scope.get("miner")
    headers = miner.instance_proof(request.headers.get(NONCE_HEADER, "")) if miner else {}
    return JsonResponse({"miner_version": installed, "runner_version": "unknown"}, headers=headers)


async def metrics_page(request: ASGIRequest) -> HttpResponse:
    """The metrics for Prometheus."""
    text = metrics.exposition(request.scope["miner"])
    return HttpResponse(text, content_type=CONTENT_TYPE_LATEST)


async def receipt_page(request: HttpRequest, page: int) -> HttpResponse:
    """The receipts stored within five minutes (protocol §7.4, §7.5)."""
    if not config.publish_receipts:
        raise Http404
    try:
        return await _page(request, page)
    except PageMemoryError:
        return HttpResponse(
            "Too many receipt pages are being read at once; retry in a few seconds.\n",
            status=503,
            content_type="text/plain",
            headers={"Retry-After": str(RETRY_SECONDS)},
        )


async def _page(request: HttpRequest, page: int) -> HttpResponse:
    whole = await pages.read(page)
    if whole is None:
        raise Http404
    size = len(whole.body)
    part = rules.parse_range(request.headers.get("Range"), size)
    answer = PageResponse(whole, status=part.status, content_type="application/jsonl")
    match part.status:
        case 206:
            answer["Content-Range"] = f"bytes {part.start}-{size - 1}/{size}"
            answer.copy = pages.rest(page, whole, part.start)
            answer.content = answer.copy.body
        case 416:
            answer["Content-Range"] = f"bytes */{size}"
        case _ if "gzip" in request.headers.get("Accept-Encoding", ""):
            answer["Content-Encoding"] = "gzip"
            answer.content = await compressor.compressed(page, whole.body, whole)
        case _:
            answer.content = whole.body
    return answer
