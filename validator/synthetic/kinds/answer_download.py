"""Downloads the answers that a miner uploaded, by the validator's own presigned URL."""

import asyncio
from datetime import UTC, datetime
from http.client import NOT_FOUND
from typing import TYPE_CHECKING

from compute_horde.concurrency.backoff import Backoff
from validator.llm.buckets import expiry
from validator.llm.programs.answer_file import MAX_BYTES
from validator.synthetic.kinds.kind import NotVerifiableError

if TYPE_CHECKING:
    import httpx

TRIES = 5
SECONDS = 20.0
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.2, 3.2


class NoAnswersError(Exception):
    """There are no answers, or too many bytes of them: the miner's fault."""


async def download(url: str) -> bytes:
    """The content of the answers.

    Raises:
        NoAnswersError: nothing was uploaded, or more than allowed.
        NotVerifiableError: the bucket cannot be read, or the URL has expired.
    """
    # Only here: every process of the validator loads the kinds.
    import httpx

    end = expiry(url)
    if end is not None and end < datetime.now(UTC):
        raise NotVerifiableError(f"the link to the answers expired at {end:%Y-%m-%d %H:%M:%S} UTC")
    backoff = Backoff(FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS)
    problem = ""
    async with httpx.AsyncClient(timeout=SECONDS) as client:
        for number in range(TRIES):
            if number:
                await asyncio.sleep(backoff.take())
            try:
                async with asyncio.timeout(SECONDS):
                    return await _download(client, url)
            except (httpx.HTTPError, TimeoutError) as exc:
                problem = f"{type(exc).__name__}: {exc}"[:120]
    raise NotVerifiableError(f"the bucket of answers cannot be read: {problem}")


async def _download(client: "httpx.AsyncClient", url: str) -> bytes:
    content = bytearray()
    async with client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as response:
        if response.status_code == NOT_FOUND:
            raise NoAnswersError("no answers were uploaded")
        response.raise_for_status()
        async for piece in response.aiter_raw():
            content += piece
            if len(content) > MAX_BYTES:
                raise NoAnswersError(f"the answers have more than {MAX_BYTES:,} bytes")
    if not content:
        # What the validator stored when it made the link.
        raise NoAnswersError("no answers were uploaded")
    return bytes(content)
