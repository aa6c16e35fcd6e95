"""One request of the user, forwarded to the job's service and answered as that does."""

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

from compute_horde import answers

log = logging.getLogger(__name__)

ORIGIN = "http://localhost"
PIECE_BYTES = 2**16
SIGNED_BYTES = 8 * 2**20
SIGNED_AT_ONCE = 4
MESSAGE_BYTES = 4 * 2**20
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
OK, BAD_REQUEST, TOO_LARGE, BAD_GATEWAY = 200, 400, 413, 502
# Of one connection, not of the exchange.
HOPPING = (
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
)
WEBSOCKET = (
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
)
UNTYPED = "application/octet-stream"
BODILESS = frozenset({204, 304})


class TooLargeError(Exception):
    """More than we forward or sign."""


@dataclass(slots=True)
class Forwarder:
    """Speaks for the user to the service behind `session`."""

    session: aiohttp.ClientSession
    key: RSAPrivateKey
    body_max_bytes: int
    _signing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(SIGNED_AT_ONCE))

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The service's answer, or why there is none."""

        target = request.raw_path
        if not target.startswith("/"):
            return _said(BAD_REQUEST, "ask for a path that begins with a slash")
        try:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await self._websocket(request, target)
            challenge = request.headers.get(answers.ASK)
            if challenge is None:
                return await self._forward(request, target)
            if not answers.CHALLENGE.fullmatch(challenge):
                return _said(BAD_REQUEST, f"{answers.ASK} takes 1 to 64 of A-Z a-z 0-9 _ -")
            async with self._signing:
                return await self._signed(request, target, challenge)
        except TooLargeError as exc:
            return _said(TOO_LARGE, str(exc))
        except (aiohttp.ClientError, OSError) as exc:
            if isinstance(exc.__cause__, TooLargeError):
                return _said(TOO_LARGE, str(exc.__cause__))
            return _said(BAD_GATEWAY, f"the job's service did not answer ({type(exc).__name__})")

    async def is_healthy(self, seconds: float) -> bool:
        """Whether the service says so now."""
        try:
            limit = aiohttp.ClientTimeout(total=seconds)
            async with self.session.get(ORIGIN + "/health", timeout=limit) as asked:
                return asked.status == OK
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    async def _forward(self, request: web.BaseRequest, target: str) -> web.StreamResponse:
        async with self._asked(request, target, None) as heard:
            length = heard.content_length
            headers = _kept(heard.headers.items())
            if request.method != "HEAD" and length is not None and length <= PIECE_BYTES:
                return web.Response(status=heard.status, body=await heard.read(), headers=headers)
            answer = web.StreamResponse(status=heard.status, headers=headers)
            if length is None and heard.status not in BODILESS and request.method != "HEAD":
                answer.enable_chunked_encoding()
            await answer.prepare(request)
            try:
                async for piece in heard.content.iter_any():
                    await answer.write(piece)
                await answer.write_eof()
            except (aiohttp.ClientError, OSError):
                # Too late for another status: what is cut off must not look complete.
                if request.transport:
                    request.transport.abort()
                raise
            return answer

    async def _signed(
        self, request: web.BaseRequest, target: str, challenge: str
    ) -> web.StreamResponse:
        """The whole answer is held here first, since its hash stands before its body."""
        began = time.time_ns()
        asked = answers.input_digest(request.method, target)
        async with self._asked(request, target, asked) as heard:
            body = await _whole(heard)
        headers = _kept(heard.headers.items())
        # The server would add it, and what is signed is what arrives.
        headers.setdefault("Content-Type", UNTYPED)
        told = answers.output_digest(heard.status, headers["Content-Type"])
        told.feed(body)
        signed = answers.SignedAnswer(
            challenge, began, time.time_ns(), asked.hexdigest(), told.hexdigest()
        )
        for name, value in signed.headers(self.key).items():
            headers[name] = value
        return web.Response(status=heard.status, body=body, headers=headers)

    def _asked(
        self, request: web.BaseRequest, target: str, digest: answers.Digest | None
    ) -> "aiohttp.client._RequestContextManager":
        if (request.content_length or 0) > self.body_max_bytes:
            raise self._too_large()
        headers = _kept(request.headers.items())
        headers.popall(answers.ASK, None)
        body = self._body(request, digest) if request.body_exists else None
        return self.session.request(
            request.method,
            URL(ORIGIN + target, encoded=True),
            headers=headers,
            data=body,
            allow_redirects=False,
        )

    async def _body(
        self, request: web.BaseRequest, digest: answers.Digest | None
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
        headers = _kept(request.headers.items())
        for name in WEBSOCKET:
            headers.popall(name, None)
        asked = request.headers.get("Sec-WebSocket-Protocol", "")
        protocols = [word.strip() for word in asked.split(",") if word.strip()]
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
            pumps = [asyncio.create_task(_pump(*ends)) for ends in ((inner, outer), (outer, inner))]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                await outer.close(code=inner.close_code or outer.close_code or 1000)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
            return outer


Socket = aiohttp.ClientWebSocketResponse | web.WebSocketResponse


async def _pump(source: Socket, target: Socket) -> None:
    async for message in source:
        if message.type is WSMsgType.TEXT:
            await target.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await target.send_bytes(message.data)


def _kept(headers: Iterable[tuple[str, str]]) -> CIMultiDict[str]:
    """What is of the exchange, not of the connection."""
    kept = CIMultiDict(headers)
    named = [word.strip() for line in kept.getall("Connection", ()) for word in line.split(",")]
    for name in (*HOPPING, *named):
        kept.popall(name, None)
    return kept


async def _whole(heard: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for piece in heard.content.iter_any():
        body += piece
        if len(body) > SIGNED_BYTES:
            text = f"the answer is larger than {SIGNED_BYTES} bytes: ask without {answers.ASK}"
            raise TooLargeError(text)
    return bytes(body)


def _said(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text + "\n")
