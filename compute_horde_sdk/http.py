"""The door to a facilitator: login, retries (protocol §3.3), bounded answers."""

import asyncio
import json
import logging
import random
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx

from compute_horde.errors import ComputeHordeError
from compute_horde.signing import Signer
from compute_horde_sdk import login
from compute_horde_sdk.config import DEFAULT_FACILITATOR_URL
from compute_horde_sdk.errors import (
    ComputeHordeNotFoundError,
    FacilitatorUnreachable,
    RequestRefused,
)

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 5.0
ATTEMPTS = 5
FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 5.0
# A job's artifacts stand twice in its JSON, and they cross the network in 50 MiB frames.
MAX_ANSWER_BYTES = 128 * 2**20
MAX_ERROR_BYTES = 64 * 2**10
SHOWN_ERROR_CHARS = 500
# Said by a facilitator that knows our extensions, in each of its answers; and by us in requests.
EXTENSIONS_HEADER = "X-CH-Extensions"
OURS = "cancel, output"
IDEMPOTENCY = "idempotency-key"
NO_VALIDATOR = b"Could not select Validator"

# Nothing of the request can have been acted upon.
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
# The published client takes these for not acted upon, too.
HALF_SENT = (httpx.WriteError, httpx.WriteTimeout)


def wait_before_next(attempt: int) -> float:
    """Seconds to wait after the `attempt`th try; doubles, with jitter, up to a bound."""
    doublings = min(attempt - 1, 10)
    ceiling: float = min(FIRST_WAIT_SECONDS * 2**doublings, LONGEST_WAIT_SECONDS)
    return ceiling * random.uniform(0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    headers: httpx.Headers

    def json(self) -> Any:
        """The body as JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as exc:
            raise ComputeHordeError(
                "the facilitator's answer is not JSON; is the URL that of a facilitator?"
            ) from exc


@cache
def _trusted() -> ssl.SSLContext:
    """Whom TLS trusts. Reading the certificates takes as long as a job; once is enough."""
    return httpx.create_ssl_context()


class _Session:
    """What belongs to one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.client = httpx.AsyncClient(
            follow_redirects=True,
            timeout=TIMEOUT_SECONDS,
            # Each job that is waited for holds a connection.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            verify=_trusted(),
        )
        self.logging_in = asyncio.Lock()


class Facilitator:
    """One facilitator, spoken to as one hotkey."""

    def __init__(self, url: str, hotkey: Signer) -> None:
        self.url = _valid(url)
        # Until it shows that it has no event stream.
        self.pushes = True
        self._hotkey = hotkey
        self._session: _Session | None = None
        self._token: str | None = None
        self._extensions: frozenset[str] = frozenset()

    async def aclose(self) -> None:
        """Hang up; a later request connects again."""
        session, self._session = self._session, None
        if session is not None and session.loop is asyncio.get_running_loop():
            await session.client.aclose()

    async def authenticate(self) -> None:
        """Get a fresh token for this hotkey."""
        async with self._here().logging_in:
            await self._log_in()

    def knows(self, extension: str) -> bool:
        """Whether the facilitator said so in its last answers."""
        return extension in self._extensions

    async def get(self, path: str, params: Mapping[str, str | int] | None = None) -> Any:
        """The JSON behind `path`."""
        return (await self._authorised("GET", path, params=params)).json()

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send `body`; tried again only where that cannot do anything twice."""
        return await self._authorised("POST", path, body=body, headers=dict(headers))

    @asynccontextmanager
    async def stream(
        self, path: str, headers: Mapping[str, str], silence: float
    ) -> AsyncIterator[httpx.Response]:
        """An answer that goes on for as long as anything is heard every `silence` seconds."""
        for renewed in (False, True):
            request = self._request("GET", path, headers=await self._with_token(headers))
            request.extensions["timeout"] = httpx.Timeout(TIMEOUT_SECONDS, read=silence).as_dict()
            response = await self._here().client.send(request, stream=True)
            try:
                if response.status_code != httpx.codes.OK:
                    answer = await self._bounded(response)
                    if not renewed and login.expired(answer.status, answer.body):
                        await self._renew(request)
                        continue
                    self._checked(request, answer)
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
    ) -> Answer:
        for renewed in (False, True):
            told = await self._with_token(headers or {})
            request = self._request(method, path, headers=told, body=body, params=params)
            answer = await self._insistent(request)
            if renewed or not login.expired(answer.status, answer.body):
                break
            await self._renew(request)
        return self._checked(request, answer)

    async def _insistent(self, request: httpx.Request) -> Answer:
        """The first answer worth having, or the last one of several."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = await self._once(request)
            except httpx.RequestError as exc:
                if attempt == ATTEMPTS or not self._may_repeat(request, exc):
                    raise self._unreachable(request, exc) from exc
                told: object = type(exc).__name__
            else:
                if attempt == ATTEMPTS or not _may_pass(answer):
                    return answer
                told = answer.status
            log.debug("facilitator asked again", extra={"attempt": attempt, "cause": told})
            await asyncio.sleep(wait_before_next(attempt))
        raise AssertionError("the last attempt returns or raises")

    def _may_repeat(self, request: httpx.Request, error: httpx.RequestError) -> bool:
        if isinstance(error, NEVER_SENT + HALF_SENT):
            return True
        if not isinstance(error, httpx.TransportError):
            return False
        if request.method == "GET":
            return True
        return "Idempotency-Key" in request.headers and IDEMPOTENCY in self._extensions

    async def _once(self, request: httpx.Request) -> Answer:
        response = await self._here().client.send(request, stream=True)
        try:
            return await self._bounded(response)
        finally:
            await response.aclose()

    async def _bounded(self, response: httpx.Response) -> Answer:
        limit = MAX_ANSWER_BYTES if response.is_success else MAX_ERROR_BYTES
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > limit and response.is_success:
                raise ComputeHordeError(
                    f"the facilitator's answer has over {limit:,} bytes; ask for fewer jobs at once"
                )
            if len(body) > limit:
                break
        known = response.headers.get(EXTENSIONS_HEADER, "")
        if known:
            self._extensions = frozenset(word.strip().lower() for word in known.split(","))
        return Answer(response.status_code, bytes(body[:limit]), response.headers)

    def _request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        params: Mapping[str, str | int] | None = None,
    ) -> httpx.Request:
        told = dict(headers or {})
        if body is not None:
            told["Content-Type"] = "application/json"
        client = self._here().client
        return client.build_request(
            method, self.url + path, headers=told, content=body, params=params
        )

    async def _with_token(self, headers: Mapping[str, str]) -> dict[str, str]:
        if self._token is None:
            async with self._here().logging_in:
                if self._token is None:
                    await self._log_in()
        return {
            **headers,
            "Authorization": f"Bearer {self._token}",
            "Realm": "mainnet",
            "SubnetID": "12",
            EXTENSIONS_HEADER: OURS,
        }

    async def _renew(self, refused: httpx.Request) -> None:
        """A new token, unless another task already got one since `refused` was built."""
        async with self._here().logging_in:
            if refused.headers["Authorization"] == f"Bearer {self._token}":
                await self._log_in()

    async def _log_in(self) -> None:
        login_request = await self._login_request()
        try:
            answer = await self._insistent(login_request)
        except FacilitatorUnreachable:
            # It may be restarting. A nonce serves once, so the whole login starts over.
            answer = await self._insistent(await self._login_request())
        login.check(answer.status, answer.body, self._hotkey.ss58_address, self.url)
        self._token = login.token(self._checked(login_request, answer).json())

    async def _login_request(self) -> httpx.Request:
        request = self._request("GET", "auth/nonce")
        nonce = self._checked(request, await self._insistent(request)).json()
        body = json.dumps(login.credentials(nonce, self._hotkey), separators=(",", ":")).encode()
        return self._request("POST", "auth/login", body=body)

    def _here(self) -> _Session:
        """The session of the running loop; connections of an earlier loop are of no use."""
        loop = asyncio.get_running_loop()
        if self._session is None or self._session.loop is not loop:
            self._session = _Session(loop)
        return self._session

    def _checked(self, request: httpx.Request, answer: Answer) -> Answer:
        if 200 <= answer.status < 300:
            return answer
        where = f"{request.method} {request.url}"
        if answer.status == httpx.codes.NOT_FOUND:
            raise ComputeHordeNotFoundError(f"{where} does not exist, or belongs to another hotkey")
        said = answer.body.decode("utf-8", "replace")[:SHOWN_ERROR_CHARS]
        raise RequestRefused(
            f"the facilitator answered {answer.status} to {where}: {said}{_advice(answer)}",
            status_code=answer.status,
        )

    def _unreachable(self, request: httpx.Request, exc: httpx.RequestError) -> ComputeHordeError:
        cause = f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
        told = f"no answer to {request.method} {request.url} ({cause})"
        if request.method == "POST" and not isinstance(exc, NEVER_SENT):
            return FacilitatorUnreachable(
                f"{told}; the facilitator may have acted on it: look at your jobs "
                "(compute-horde jobs) before you send it again"
            )
        return FacilitatorUnreachable(f"{told}; is the facilitator up, and its URL right?")


def _may_pass(answer: Answer) -> bool:
    """Whether the same request may soon be answered better; nothing was done for this one."""
    # A validator takes a moment to come back to a facilitator that was restarted.
    busy = answer.status == httpx.codes.TOO_MANY_REQUESTS or answer.status >= 500
    return busy or (answer.status == httpx.codes.BAD_REQUEST and NO_VALIDATOR in answer.body)


def _valid(url: str) -> str:
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


def _advice(answer: Answer) -> str:
    """What to do about a refusal that we recognise."""
    if NO_VALIDATOR in answer.body:
        return (
            ". The validator is not connected to this facilitator: check the validator's hotkey, "
            "or ask its operator whether it is up"
        )
    if answer.status == httpx.codes.UNAUTHORIZED:
        return ". The hotkey may have lost its permission: ask the facilitator's operator"
    return ""
