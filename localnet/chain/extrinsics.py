"""Decodes and verifies signed extrinsics; the pool of those that wait for a block."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import bittensor_core

from localnet.chain.runtime import SS58_FORMAT, LocalRuntime
from localnet.chain.scale import Reader, ScaleError, blake2_256

SIGNED_V4 = 0x84
ADDRESS_ID = 0
CRYPTO_TYPES = {0: bittensor_core.CRYPTO_ED25519, 1: bittensor_core.CRYPTO_SR25519}
METADATA_HASH_OFF = 0
POOL_LIMIT = 1000

OUTDATED = "Transaction is outdated"
BAD_SIGNATURE = "Transaction has a bad signature"


class InvalidExtrinsicError(Exception):
    """An extrinsic that the pool refuses, with the error code and message of Substrate nodes."""

    def __init__(
        self, data: str, *, code: int = 1010, message: str = "Invalid Transaction"
    ) -> None:
        super().__init__(data)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Era:
    """The era of an extrinsic, in blocks; immortal without a period. See Substrate's `Era`."""

    period: int | None
    phase: int

    def birth(self, current: int) -> int:
        """The first block of the era that contains `current`."""
        if self.period is None:
            return 0
        return (max(current, self.phase) - self.phase) // self.period * self.period + self.phase

    def last(self, current: int) -> int | None:
        """The last block of the era that contains `current`; None if immortal."""
        return None if self.period is None else self.birth(current) + self.period - 1


@dataclass(frozen=True, slots=True)
class SignedExtrinsic:
    """A decoded extrinsic with a valid signature."""

    raw: bytes
    hash: bytes
    signer: str
    nonce: int
    last_block: int | None
    pallet: str
    function: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Parts:
    public_key: bytes
    crypto_type: int
    signature: bytes
    era: Era
    nonce: int
    tip: int
    call: bytes


def read(
    raw: bytes, runtime: LocalRuntime, number: int, block_hash: Callable[[int], bytes | None]
) -> SignedExtrinsic:
    """Decode an extrinsic and verify it for block `number`. Raises `InvalidExtrinsicError`.

    An expired era appears as a bad signature, as it does on a Substrate node: the signature is
    over the hash of another block.
    """
    try:
        parts = _parts(raw)
        call = runtime.codec.decode_call(parts.call)
        arguments = {entry["name"]: entry["value"] for entry in call["call_args"]}
        module, function = call["call_module"], call["call_function"]
        canonical = bytes(runtime.codec.compose_call(module, function, arguments))
    except (ScaleError, ValueError, KeyError, TypeError) as exc:
        raise InvalidExtrinsicError(f"Could not decode the extrinsic: {exc}", code=1002) from exc
    if canonical != parts.call:
        raise InvalidExtrinsicError("The call has trailing bytes", code=1002)
    birth_hash = block_hash(parts.era.birth(number))
    if birth_hash is None:
        raise InvalidExtrinsicError("Transaction has an ancient birth block")
    signer = _verified_signer(parts, runtime, number, birth_hash)
    last = parts.era.last(number)
    return SignedExtrinsic(
        raw, blake2_256(raw), signer, parts.nonce, last, module, function, arguments
    )


def _verified_signer(parts: _Parts, runtime: LocalRuntime, number: int, birth_hash: bytes) -> str:
    era: Any = "00"
    if parts.era.period is not None:
        era = {"period": parts.era.period, "phase": parts.era.phase}
    payload = runtime.codec.signature_payload(
        parts.call,
        era=era,
        nonce=parts.nonce,
        tip=parts.tip,
        tip_asset_id=None,
        genesis_hash=runtime.genesis_hash,
        era_block_hash=birth_hash,
    )
    signer = bittensor_core.Keypair(
        public_key=parts.public_key, crypto_type=parts.crypto_type, ss58_format=SS58_FORMAT
    )
    if not signer.verify(bytes(payload), parts.signature):
        raise InvalidExtrinsicError(BAD_SIGNATURE)
    return str(signer.ss58_address)


def _parts(raw: bytes) -> _Parts:
    outer = Reader(raw)
    length = outer.compact()
    body = Reader(outer.take(length))
    if outer.rest():
        raise ScaleError("trailing bytes after the extrinsic")
    if body.byte() != SIGNED_V4:
        raise ScaleError("only signed extrinsics of version 4 are supported")
    if body.byte() != ADDRESS_ID:
        raise ScaleError("the signer must be given by its account id")
    public_key = body.take(32)
    crypto_type = CRYPTO_TYPES.get(body.byte())
    if crypto_type is None:
        raise ScaleError("only ed25519 and sr25519 signatures are supported")
    signature = body.take(64)
    era, nonce, tip = _era(body), body.compact(), body.compact()
    if body.byte() != METADATA_HASH_OFF:
        raise ScaleError("the metadata hash extension is not supported")
    return _Parts(public_key, crypto_type, signature, era, nonce, tip, body.rest())


def _era(body: Reader) -> Era:
    first = body.byte()
    if first == 0:
        return Era(None, 0)
    encoded = first | body.byte() << 8
    period = 2 << (encoded & 15)
    phase = (encoded >> 4) * max(period >> 12, 1)
    if period < 4 or phase >= period:
        raise ScaleError("invalid era")
    return Era(period, phase)


class ExtrinsicPool:
    """Extrinsics that wait for a block: one for each account and nonce."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, int], SignedExtrinsic] = {}

    def add(self, extrinsic: SignedExtrinsic) -> None:
        """Add an extrinsic. Raises `InvalidExtrinsicError`."""
        key = (extrinsic.signer, extrinsic.nonce)
        other = self._waiting.get(key)
        if other is not None and other.raw == extrinsic.raw:
            raise InvalidExtrinsicError(
                extrinsic.hash.hex(), code=1013, message="Transaction is already imported"
            )
        if other is not None:
            raise InvalidExtrinsicError(
                "An extrinsic with this nonce is already in the pool",
                code=1014,
                message="Priority is too low",
            )
        if len(self._waiting) >= POOL_LIMIT:
            raise InvalidExtrinsicError(
                "The pool is full", code=1016, message="Immediately Dropped"
            )
        self._waiting[key] = extrinsic

    def next_nonce(self, account: str, expected: int) -> int:
        """The first nonce from `expected` on that no waiting extrinsic has."""
        while (account, expected) in self._waiting:
            expected += 1
        return expected

    def expired(self, number: int) -> list[SignedExtrinsic]:
        """Remove and return the extrinsics whose era ends before block `number`."""
        expired = [
            extrinsic
            for extrinsic in self._waiting.values()
            if extrinsic.last_block is not None and extrinsic.last_block < number
        ]
        for extrinsic in expired:
            del self._waiting[extrinsic.signer, extrinsic.nonce]
        return expired

    def ready(self, next_nonce: Callable[[str], int]) -> Iterator[SignedExtrinsic]:
        """Remove and yield extrinsics whose nonce is their account's next, until there is none.

        `next_nonce` is called again after each one, so the caller must apply it before going on.
        """
        found = True
        while found:
            found = False
            for key in list(self._waiting):
                if key[1] == next_nonce(key[0]):
                    found = True
                    yield self._waiting.pop(key)
