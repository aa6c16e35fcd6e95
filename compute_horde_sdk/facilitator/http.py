"""HTTP client of a facilitator: login, retries, bounded responses."""

import asyncio
import itertools
import json
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from compute_horde import retry_after
from compute_horde.errors import ComputeHordeError
from compute_horde.protocol.extensions import FACILITATOR_HOST_HEADER
from compute_horde.signing import Signer
from compute_horde_sdk.config import DEFAULT_FACILITATOR_URL
from compute_horde_sdk.errors import (
    ComputeHordeNotFoundError,
    FacilitatorUnreachable,
    RequestRefused,
)
from compute_horde_sdk.facilitator import auth, bounded_json, connection, decoding, refusals
from compute_horde_sdk.facilitator.connection import TIMEOUT_SECONDS

log = logging.getLogger(__name__)

ATTEMPTS = 5
FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 5.0
RETRY_AFTER_SECONDS = 120.0
# A job's JSON has its artifacts twice, and they cross the network in 50 MiB frames.
MAX_ANSWER_BYTES = 128 * 2**20
MAX_ERROR_BYTES = 64 * 2**10
SHOWN_ERROR_CHARS = 500
# Lists the protocol extensions that the sender supports, in every request and response.
EXTENSIONS_HEADER = "X-CH-Extensions"
OUR_EXTENSIONS = "cancel, output"
IDEMPOTENCY = "idempotency-key"

ProblemCallback = Callable[[str | None], None]
NoticeCallback = Callable[[str], None]

# Errors after which the facilitator cannot have processed the request.
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
# The published client assumes the same of these.
HALF_SENT = (httpx.WriteError, httpx.WriteTimeout)


def wait_before_next(attempt: int) -> float:
    """Seconds to wait after attempt number `attempt`; doubles, with jitter, up to a maximum."""
    doublings = min(attempt - 1, 10)
    ceiling: float = min(FIRST_WAIT_SECONDS * 2**doublings, LONGEST_WAIT_SECONDS)
    return ceiling * random.uniform(0.5, 1.0)


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A response of the facilitator."""

    status: int
    body: bytes
    headers: httpx.Headers

    def json(self) -> Any:
        """The body parsed as JSON; raises `ComputeHordeError` when it is not JSON."""
        try:
            return bounded_json.parsed(self.body)
        except (ValueError, RecursionError) as exc:
            raise ComputeHordeError(
                "the facilitator's answer is not JSON; is the URL that of a facilitator?"
            ) from exc


class _Session:
    """HTTP client and login lock of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.client = connection.new_client()
        self.logging_in = asyncio.Lock()


class Facilitator:
    """Client of one facilitator's HTTP API, authenticated by one hotkey."""

    def __init__(self, url: str, hotkey: Signer) -> None:
        self.url = _checked_url(url)
        # Whether it has event streams; set to False when it turns out that it has none.
        self.pushes = True
        # Called with a text while a request is retried, and with None when it works again.
        self.on_problem: ProblemCallback | None = None
        # Called with warnings.
        self.on_notice: NoticeCallback = log.warning
        self._problem: str | None = None
        self._hotkey = hotkey
        self._session: _Session | None = None
        self._token: str | None = None
        self._extensions: frozenset[str] = frozenset()

    async def aclose(self) -> None:
        """Close the connections; a later request connects again."""
        session, self._session = self._session, None
        if session is not None and session.loop is asyncio.get_running_loop():
            await session.client.aclose()

    async def authenticate(self) -> None:
        """Log in and store the new token."""
        async with self._current_session().logging_in:
            await self._log_in()

    def supports(self, extension: str) -> bool:
        """Whether the facilitator's responses list this protocol extension."""
        return extension in self._extensions

    async def get(self, path: str, params: Mapping[str, str | int] | None = None) -> Any:
        """The JSON at `path`."""
        return (await self._authorised("GET", path, params=params)).json()

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> HttpAnswer:
        """Send `body`; retried only if the facilitator cannot process it twice."""
        return await self._authorised("POST", path, body=body, headers=dict(headers))

    @asynccontextmanager
    async def stream(
        self, path: str, headers: Mapping[str, str], max_silence: float
    ) -> AsyncIterator[httpx.Response]:
        """A streaming response; times out when nothing arrives for `max_silence` seconds."""
        for renewed in (False, True):
            request = self._request("GET", path, headers=await self._headers_with_token(headers))
            request.extensions["timeout"] = httpx.Timeout(
                TIMEOUT_SECONDS, read=max_silence
            ).as_dict()
            response = await connection.send(self._current_session().client, request)
            try:
                if response.status_code != httpx.codes.OK:
                    answer = await self._read_bounded(response)
                    if not renewed and auth.expired(answer.status, answer.body):
                        await self._renew_token(request)
                        continue
                    self._checked(request, answer)
                self.report_problem(None)
                yield response
                return
            finally:
                await response.aclose()

    async def _authorised(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str | int] | None = None,
    ) -> HttpAnswer:
        for renewed in (False, True):
            all_headers = await self._headers_with_token(headers or {})
            request = self._request(method, path, headers=all_headers, body=body, params=params)
            answer = await self._send_with_retries(request)
            if renewed or not auth.expired(answer.status, answer.body):
                break
            await self._renew_token(request)
        return self._checked(request, answer)

    async def _send_with_retries(self, request: httpx.Request) -> HttpAnswer:
        """Send a request up to `ATTEMPTS` times, until its response is final.

        Retry-After is followed any number of times within `RETRY_AFTER_SECONDS`.
        Raises `FacilitatorUnreachable` when the last attempt gets no response.
        """
        began = time.monotonic()
        for attempt in itertools.count(1):
            wait = wait_before_next(attempt) if attempt < ATTEMPTS else None
            try:
                answer = await self._send_once(request)
            except httpx.RequestError as exc:
                if wait is None or not self._may_repeat(request, exc):
                    raise self._unreachable(request, exc) from exc
                problem = refusals.retrying(exc, b"", self.url)
            else:
                wait = _retry_delay(answer, time.monotonic() - began, wait)
                if wait is None or not _is_temporary(answer):
                    self.report_problem(None)
                    return answer
                problem = refusals.retrying(answer.status, answer.body, self.url)
            self.report_problem(problem)
            log.debug("request is retried", extra={"attempt": attempt, "cause": problem})
            await asyncio.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _may_repeat(self, request: httpx.Request, error: httpx.RequestError) -> bool:
        if isinstance(error, NEVER_SENT + HALF_SENT):
            return True
        if not isinstance(error, httpx.TransportError):
            return False
        if request.method == "GET":
            return True
        return "Idempotency-Key" in request.headers and IDEMPOTENCY in self._extensions

    async def _send_once(self, request: httpx.Request) -> HttpAnswer:
        response = await connection.send(self._current_session().client, request)
        try:
            return await self._read_bounded(response)
        finally:
            await response.aclose()

    async def _read_bounded(self, response: httpx.Response) -> HttpAnswer:
        limit = MAX_ANSWER_BYTES if response.is_success else MAX_ERROR_BYTES
        body = bytearray()
        async with aclosing(decoding.pieces(response)) as pieces:
            async for piece in pieces:
                body += piece
                if len(body) > limit and response.is_success:
                    raise ComputeHordeError(
                        f"the facilitator's answer has over {limit:,} bytes; "
                        "ask for fewer jobs at once"
                    )
                if len(body) > limit:
                    break
        known = response.headers.get(EXTENSIONS_HEADER, "")
        if known:
            self._extensions = frozenset(word.strip().lower() for word in known.split(","))
        return HttpAnswer(response.status_code, bytes(body[:limit]), response.headers)

    def _request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        params: Mapping[str, str | int] | None = None,
    ) -> httpx.Request:
        all_headers = dict(headers or {})
        if body is not None:
            all_headers["Content-Type"] = "application/json"
        client = self._current_session().client
        return client.build_request(
            method, self.url + path, headers=all_headers, content=body, params=params
        )

    async def _headers_with_token(self, headers: Mapping[str, str]) -> dict[str, str]:
        if self._token is None:
            async with self._current_session().logging_in:
                if self._token is None:
                    await self._log_in()
        return {
            **headers,
            "Authorization": f"Bearer {self._token}",
            "Realm": "mainnet",
            "SubnetID": "12",
            EXTENSIONS_HEADER: OUR_EXTENSIONS,
        }

    async def _renew_token(self, refused: httpx.Request) -> None:
        """Log in again, unless another task has got a new token since `refused` was built."""
        async with self._current_session().logging_in:
            if refused.headers["Authorization"] == f"Bearer {self._token}":
                await self._log_in()

    async def _log_in(self) -> None:
        login_request = await self._login_request()
        try:
            answer = await self._send_with_retries(login_request)
        except FacilitatorUnreachable:
            # It may be restarting. A nonce is valid once, so the whole login starts over.
            answer = await self._send_with_retries(await self._login_request())
        auth.check(answer.status, answer.body, self._hotkey.ss58_address, self.url)
        self._token = auth.token(self._checked(login_request, answer).json())

    async def _login_request(self) -> httpx.Request:
        host = auth.host_of(self.url)
        request = self._request("GET", "auth/nonce", headers={FACILITATOR_HOST_HEADER: host})
        nonce = self._checked(request, await self._send_with_retries(request)).json()
        body = json.dumps(
            auth.credentials(nonce, self._hotkey, host), separators=(",", ":")
        ).encode()
        return self._request("POST", "auth/login", body=body)

    def _current_session(self) -> _Session:
        """The session of the running loop; connections of another loop cannot be used."""
        loop = asyncio.get_running_loop()
        if self._session is None or self._session.loop is not loop:
            self._session = _Session(loop)
        return self._session

    def _checked(self, request: httpx.Request, answer: HttpAnswer) -> HttpAnswer:
        if 200 <= answer.status < 300:
            return answer
        if answer.status == httpx.codes.NOT_FOUND:
            raise ComputeHordeNotFoundError(
                refusals.not_found(request, self._hotkey.ss58_address, self.url)
            )
        text = answer.body.decode("utf-8", "replace")[:SHOWN_ERROR_CHARS]
        text += refusals.advice(answer.status, answer.body)
        raise RequestRefused(
            f"the facilitator answered {answer.status} to {request.method} {request.url}: {text}",
            status_code=answer.status,
            details=refusals.details(answer.body)[:SHOWN_ERROR_CHARS],
            retry_after_seconds=retry_after.seconds(answer.headers),
        )

    def _unreachable(self, request: httpx.Request, exc: httpx.RequestError) -> ComputeHordeError:
        never_sent = isinstance(exc, NEVER_SENT)
        return FacilitatorUnreachable(refusals.no_answer(request, exc, never_sent=never_sent))

    def report_problem(self, problem: str | None) -> None:
        """Call `on_problem` with a text while retrying, and with None once it works again."""
        if self.on_problem is not None and (problem or self._problem):
            self.on_problem(problem)
        self._problem = problem


def _retry_delay(answer: HttpAnswer, passed: float, wait: float | None) -> float | None:
    """Seconds until the next attempt, at least the answer's Retry-After; None to give up.

    `passed` is in seconds since the first attempt; `wait` is the delay without Retry-After.
    """
    asked = retry_after.seconds(answer.headers)
    if asked is None:
        return wait
    wait = max(asked, wait or LONGEST_WAIT_SECONDS)
    return wait if passed + wait <= RETRY_AFTER_SECONDS else None


def _is_temporary(answer: HttpAnswer) -> bool:
    """Whether the request was not processed and a retry may succeed soon."""
    # A validator takes a moment to reconnect to a restarted facilitator.
    busy = answer.status == httpx.codes.TOO_MANY_REQUESTS or answer.status >= 500
    return busy or (
        answer.status == httpx.codes.BAD_REQUEST and refusals.NO_VALIDATOR in answer.body
    )


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ComputeHordeError(
            f"{url!r} is not the URL of a facilitator; it looks like {DEFAULT_FACILITATOR_URL}"
        )
    return url if url.endswith("/") else url + "/"
