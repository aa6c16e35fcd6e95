"""Forwards requests of the user to the job's HTTP service, and signs answers on request."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

import aiohttp
from aiohttp import WSMsgType, web
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from multidict import CIMultiDict
from yarl import URL

from compute_horde.concurrency.task_set import TaskSet
from compute_horde.streaming import signed_answers
from executor.transfer.hop_by_hop import HOP_BY_HOP

log = logging.getLogger(__name__)

ORIGIN = "http://localhost"
PIECE_BYTES = 2**16
SIGNED_BYTES = 8 * 2**20
SIGNED_AT_ONCE = 4
MESSAGE_BYTES = 4 * 2**20
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
OK, BAD_REQUEST, TOO_LARGE, BAD_GATEWAY = 200, 400, 413, 502
WEBSOCKET = (
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
)
UNTYPED = "application/octet-stream"
BODILESS = frozenset({204, 304})


class TooLargeError(Exception):
    """The request or the answer is larger than its limit."""


@dataclass(slots=True)
class Forwarder:
    """Forwards requests to the service that `session` connects to."""

    session: aiohttp.ClientSession
    key: RSAPrivateKey
    body_max_bytes: int
    _signing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(SIGNED_AT_ONCE))

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The service's answer, or an error response that says why there is none."""

        target = request.raw_path
        if not target.startswith("/"):
            return _text_response(BAD_REQUEST, "ask for a path that begins with a slash")
        try:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await self._websocket(request, target)
            challenge = request.headers.get(signed_answers.ASK)
            if challenge is None:
                return await self._forward(request, target)
            if not signed_answers.CHALLENGE.fullmatch(challenge):
                return _text_response(
                    BAD_REQUEST, f"{signed_answers.ASK} takes 1 to 64 of A-Z a-z 0-9 _ -"
                )
            async with self._signing:
                return await self._signed(request, target, challenge)
        except TooLargeError as exc:
            return _text_response(TOO_LARGE, str(exc))
        except (aiohttp.ClientError, OSError) as exc:
            if isinstance(exc.__cause__, TooLargeError):
                return _text_response(TOO_LARGE, str(exc.__cause__))
            return _text_response(
                BAD_GATEWAY, f"the job's service did not answer ({type(exc).__name__})"
            )

    async def is_healthy(self, seconds: float) -> bool:
        """Whether the service's `/health` answers 200 within `seconds`."""
        try:
            limit = aiohttp.ClientTimeout(total=seconds)
            async with self.session.get(ORIGIN + "/health", timeout=limit) as response:
                return response.status == OK
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    async def _forward(self, request: web.BaseRequest, target: str) -> web.StreamResponse:
        async with self._request(request, target, None) as response:
            length = response.content_length
            headers = _end_to_end(response.headers.items())
            if request.method != "HEAD" and length is not None and length <= PIECE_BYTES:
                return web.Response(
                    status=response.status, body=await response.read(), headers=headers
                )
            answer = web.StreamResponse(status=response.status, headers=headers)
            if length is None and response.status not in BODILESS and request.method != "HEAD":
                answer.enable_chunked_encoding()
            await answer.prepare(request)
            try:
                async for piece in response.content.iter_any():
                    await answer.write(piece)
                await answer.write_eof()
            except (aiohttp.ClientError, OSError):
                # The status is sent already: abort, so that the answer does not look complete.
                if request.transport:
                    request.transport.abort()
                raise
            return answer

    async def _signed(
        self, request: web.BaseRequest, target: str, challenge: str
    ) -> web.StreamResponse:
        """The answer with its signature; read completely first, as the hash is in the headers."""
        began = time.time_ns()
        request_digest = signed_answers.input_digest(request.method, target)
        async with self._request(request, target, request_digest) as response:
            body = await _read_signable(response)
        headers = _end_to_end(response.headers.items())
        # The server would add a default, and the signature covers the header that arrives.
        headers.setdefault("Content-Type", UNTYPED)
        answer_digest = signed_answers.output_digest(response.status, headers["Content-Type"])
        answer_digest.feed(body)
        signed = signed_answers.SignedAnswer(
            challenge, began, time.time_ns(), request_digest.hexdigest(), answer_digest.hexdigest()
        )
        for name, value in signed.headers(self.key).items():
            headers[name] = value
        return web.Response(status=response.status, body=body, headers=headers)

    def _request(
        self, request: web.BaseRequest, target: str, digest: signed_answers.Digest | None
    ) -> "aiohttp.client._RequestContextManager":
        if (request.content_length or 0) > self.body_max_bytes:
            raise self._too_large()
        headers = _end_to_end(request.headers.items())
        headers.popall(signed_answers.ASK, None)
        body = self._body(request, digest) if request.body_exists else None
        return self.session.request(
            request.method,
            URL(ORIGIN + target, encoded=True),
            headers=headers,
            data=body,
            allow_redirects=False,
        )

    async def _body(
        self, request: web.BaseRequest, digest: signed_answers.Digest | None
    ) -> AsyncIterator[bytes]:
        if request.headers.get("Expect", "").lower() == "100-continue" and request.transport:
            request.transport.write(CONTINUE)
        left = self.body_max_bytes
        async for piece in request.content.iter_any():
            left -= len(piece)
            if left < 0:
                raise self._too_large()
            if digest:
                digest.feed(piece)
            yield piece

    def _too_large(self) -> TooLargeError:
        return TooLargeError(f"the request is larger than {self.body_max_bytes} bytes")

    async def _websocket(self, request: web.BaseRequest, target: str) -> web.StreamResponse:
        headers = _end_to_end(request.headers.items())
        for name in WEBSOCKET:
            headers.popall(name, None)
        requested = request.headers.get("Sec-WebSocket-Protocol", "")
        protocols = [word.strip() for word in requested.split(",") if word.strip()]
        async with self.session.ws_connect(
            URL(ORIGIN + target, encoded=True),
            headers=headers,
            protocols=protocols,
            max_msg_size=MESSAGE_BYTES,
        ) as inner:
            outer = web.WebSocketResponse(
                protocols=[inner.protocol] if inner.protocol else (), max_msg_size=MESSAGE_BYTES
            )
            await outer.prepare(request)
            async with TaskSet() as pumps:
                pumps.spawn(_pump(inner, outer))
                pumps.spawn(_pump(outer, inner))
                await pumps.wait_for_first()
                await outer.close(code=inner.close_code or outer.close_code or 1000)
            return outer


Socket = aiohttp.ClientWebSocketResponse | web.WebSocketResponse


async def _pump(source: Socket, target: Socket) -> None:
    async for message in source:
        if message.type is WSMsgType.TEXT:
            await target.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await target.send_bytes(message.data)


def _end_to_end(headers: Iterable[tuple[str, str]]) -> CIMultiDict[str]:
    """The headers without those of one connection only."""
    kept = CIMultiDict(headers)
    named = [word.strip() for line in kept.getall("Connection", ()) for word in line.split(",")]
    for name in (*HOP_BY_HOP, *named):
        kept.popall(name, None)
    return kept


async def _read_signable(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > SIGNED_BYTES:
            text = (
                f"the answer is larger than {SIGNED_BYTES} bytes: ask without {signed_answers.ASK}"
            )
            raise TooLargeError(text)
    return bytes(body)


def _text_response(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text + "\n")
