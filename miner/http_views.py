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
JSON_LINES = "application/jsonl"

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
    if config.trusted or not config.publish_receipts:
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
    size = await pages.size(page)
    if not size:
        raise Http404
    part = rules.parse_range(request.headers.get("Range"), size)
    if part.status == 416:
        # The usual answer, which costs no reading of the page.
        nothing = HttpResponse(status=416, content_type=JSON_LINES)
        nothing["Content-Range"] = f"bytes */{size}"
        return nothing
    copy = await pages.read(page, size, part.start)
    answer = PageResponse(copy, status=part.status, content_type=JSON_LINES)
    if part.status == 206:
        total = part.start + len(copy.body)
        answer["Content-Range"] = f"bytes {part.start}-{total - 1}/{total}"
    elif "gzip" in request.headers.get("Accept-Encoding", ""):
        answer["Content-Encoding"] = "gzip"
        answer.content = await compressor.compressed(page, copy.body, copy)
        return answer
    answer.content = copy.body
    return answer
