"""Error texts for a facilitator's error responses and for requests without a response."""

import re

import httpx

from compute_horde_sdk.config import DEFAULT_FACILITATOR_URL
from compute_horde_sdk.facilitator import bounded_json, connection

NO_VALIDATOR = b"Could not select Validator"
JOB_PATH = re.compile(r"/api/v1/jobs/([^/?]+)/")
LIST_PATH = "/api/v1/jobs/"


def not_found(request: httpx.Request, hotkey: str, facilitator: str) -> str:
    """The error text for a 404 response to `request`."""
    path = request.url.path
    if found := JOB_PATH.search(path):
        return (
            f"job {found[1]} does not exist at {facilitator}, or belongs to another hotkey than "
            f"{hotkey}: compare it with those that `compute-horde jobs` lists"
        )
    if path.endswith(LIST_PATH):
        page = request.url.params.get("page", "1")
        return f"page {page} does not exist: the list of jobs of {hotkey} ends before it"
    return (
        f"{request.method} {request.url} does not exist: is {facilitator} the URL of a "
        f"facilitator? It looks like {DEFAULT_FACILITATOR_URL}"
    )


def details(body: bytes) -> str:
    """The `details` in the body of an error response; "" when it has none."""
    try:
        fields = bounded_json.parsed(body)
    except (ValueError, RecursionError):
        return ""
    found = fields.get("details") if isinstance(fields, dict) else None
    return found if isinstance(found, str) else ""


def advice(status: int, body: bytes) -> str:
    """Advice to append to the error text of a known error response; "" for others."""
    if NO_VALIDATOR in body:
        return (
            ". The validator is not connected to this facilitator: check the validator's hotkey, "
            "or ask its operator whether it is up"
        )
    if status == httpx.codes.UNAUTHORIZED:
        return ". The hotkey may have lost its permission: ask the facilitator's operator"
    return ""


def no_answer(request: httpx.Request, exc: httpx.RequestError, *, never_sent: bool) -> str:
    """The error text for a request without a response.

    `never_sent` means that the facilitator cannot have processed it.
    """
    cause = f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
    proxy = connection.proxy_of(request.url)
    through = f" through the proxy {proxy}" if proxy else ""
    problem = f"no answer to {request.method} {request.url}{through} ({cause})"
    if "CERTIFICATE_VERIFY_FAILED" in cause:
        return (
            f"{problem}; if you trust that server, name the certificate of its authority in "
            "SSL_CERT_FILE"
        )
    if request.method == "POST" and not never_sent:
        return (
            f"{problem}; the facilitator may have acted on it: look at your jobs "
            "(compute-horde jobs) before you send it again"
        )
    if proxy:
        return f"{problem}; is the proxy up, and right? Without one: unset it, or set NO_PROXY"
    return f"{problem}; is the facilitator up, and its URL right?"


def retrying(cause: httpx.RequestError | int, body: bytes, url: str) -> str:
    """The text shown while a request is retried; `cause` is an exception or a status code."""
    if isinstance(cause, httpx.RequestError):
        return f"no answer from {url} ({type(cause).__name__}); trying again"
    if NO_VALIDATOR in body:
        return "the validator is not connected to the facilitator; trying again"
    return f"{url} answers {cause}; trying again"
