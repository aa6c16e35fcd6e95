"""Fetches and verifies what validators publish about the scores of this miner's hotkeys.

A validator is not trusted: a response has at most `MAX_BYTES` and must arrive in time; redirects
are not followed, and only a document with its signature is used.
"""

import asyncio
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from http.client import OK
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from compute_horde import signing
from compute_horde.errors import BadSignature, OutsideError

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

MAX_BYTES = 2**20
TIMEOUT_SECONDS = 10.0
MAX_CONCURRENT = 8


class ScoreItem(BaseModel):
    """One line item of an explanation; the amounts sum to the share."""

    model_config = ConfigDict(extra="allow")

    executor_class: str | None = Field(None, max_length=64)
    reason: str = Field(max_length=500)
    number: Annotated[str, Field(max_length=100)] | float | int
    unit: str = Field("", max_length=100)
    amount: Decimal = Field(ge=-(10**6), le=10**6)
    remedy: str | None = Field(None, max_length=1000)


class ExplainedScore(BaseModel):
    """What is used of a validator's explanation of a score."""

    model_config = ConfigDict(extra="allow")

    type: str
    validator: str
    hotkey: str
    cycle_start: int = Field(ge=-(10**12), le=10**12)
    cycle_stop: int = Field(ge=-(10**12), le=10**12)
    share: Decimal
    items: list[ScoreItem] = Field(max_length=1000)


class SignedText(BaseModel):
    """The response: the document's text and the validator's signature over its bytes."""

    document: str
    signature: str = Field(max_length=130)


@dataclass(frozen=True, slots=True)
class ScoreSource:
    """Where a validator publishes the score of a hotkey; `url` is the base of its addresses."""

    validator: str
    url: str
    hotkey: str

    @property
    def address(self) -> str:
        """The address of the newest score."""
        return f"{self.url.rstrip('/')}/scores/{self.hotkey}"


class ScoreFetchError(OutsideError):
    """A score was not fetched; the message says why."""


def verified(text: bytes, source: ScoreSource) -> tuple[ExplainedScore, SignedText]:
    """The explanation in a response, which the validator must have signed.

    Raises:
        ScoreFetchError: it is malformed, or not of this validator and hotkey.
    """
    try:
        signed = SignedText.model_validate_json(text)
        signing.verify_hex(source.validator, signed.document.encode(), signed.signature)
        score = ExplainedScore.model_validate(json.loads(signed.document))
    except (ValidationError, ValueError, RecursionError) as exc:
        raise ScoreFetchError(
            f"not an explained score: {' '.join(str(exc).split())[:200]}"
        ) from exc
    except BadSignature as exc:
        raise ScoreFetchError(f"{exc}; check the hotkey in MINER_SCORE_URLS") from exc
    expected = ("score", source.validator, source.hotkey)
    if (score.type, score.validator, score.hotkey) != expected:
        raise ScoreFetchError("it is the score of another hotkey or validator")
    return score, signed


async def fetch_all(
    sources: Iterable[ScoreSource],
) -> list[tuple[ScoreSource, ExplainedScore, SignedText]]:
    """The newest scores of all sources that answer; others are logged."""
    # Only here: a miner without MINER_SCORE_URLS does not need it.
    import httpx

    limit = asyncio.Semaphore(MAX_CONCURRENT)
    # Not through a proxy of the environment, which is for jobs.
    async with httpx.AsyncClient(trust_env=False, timeout=TIMEOUT_SECONDS) as client:

        async def one(source: ScoreSource) -> Any:
            async with limit:
                return await _fetch(client, source)

        found = await asyncio.gather(*map(one, sources))
    return [answer for answer in found if answer]


async def _fetch(
    client: "httpx.AsyncClient", source: ScoreSource
) -> tuple[ScoreSource, ExplainedScore, SignedText] | None:
    import httpx

    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            text = await _read(client, source.address)
        return (source, *verified(text, source))
    except (ScoreFetchError, httpx.HTTPError, httpx.InvalidURL, TimeoutError) as exc:
        problem = str(exc) or type(exc).__name__
        log.warning("score not read", extra={"address": source.address, "problem": problem[:300]})
    return None


async def _read(client: "httpx.AsyncClient", address: str) -> bytes:
    async with client.stream("GET", address, headers={"Accept-Encoding": "identity"}) as response:
        if response.status_code != OK:
            raise ScoreFetchError(f"the validator answered with status {response.status_code}")
        text = b""
        async for piece in response.aiter_raw():
            text += piece
            if len(text) > MAX_BYTES:
                raise ScoreFetchError(f"the answer is over {MAX_BYTES} bytes")
        return text
