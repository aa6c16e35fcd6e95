"""Logins, refusals, heartbeats and the facilitator's responses."""

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from compute_horde import signing
from compute_horde.errors import BadSignature
from compute_horde.protocol.message import Announced, Message

TRUSTED_MINER_HOTKEY = "0" * 48
MAX_AUTH_AGE_SECONDS = 10
# In a facilitator's handshake response: the challenge that a login there must sign.
CHALLENGE_HEADER = "X-Validator-Login-Challenge"
# Distinguishes this signature from all others.
CHALLENGE_PURPOSE = "compute-horde-facilitator-login-v1"


class GenericError(Message):
    """A complaint; never ends a job."""

    message_type: Literal["GenericError"] = "GenericError"
    details: str | None = None


class ValidatorAuth(Message):
    """validator -> miner: the first message of every connection."""

    message_type: Literal["ValidatorAuthForMiner"] = "ValidatorAuthForMiner"
    validator_hotkey: str
    miner_hotkey: str
    timestamp: int = Field(ge=0, lt=2**63)
    signature: str
    extensions: Announced = ()

    def blob(self) -> bytes:
        """The bytes that the validator signs; the announced extensions are not part of them."""
        return signing.colon_text(self.validator_hotkey, self.miner_hotkey, self.timestamp)

    @classmethod
    def signed(
        cls,
        validator: signing.Signer,
        miner_hotkey: str,
        timestamp: int,
        extensions: tuple[str, ...] = (),
    ) -> "ValidatorAuth":
        """A signed login at one miner, valid for ten seconds from `timestamp` (UNIX s)."""
        unsigned = cls(
            validator_hotkey=validator.ss58_address,
            miner_hotkey=miner_hotkey,
            timestamp=timestamp,
            signature="",
            extensions=extensions,
        )
        return unsigned.model_copy(
            update={"signature": signing.signed_hex(validator, unsigned.blob())}
        )


class UnauthorizedCode(StrEnum):
    """Why a miner does not know a validator."""

    TOKEN_TOO_OLD = "TOKEN_TOO_OLD"  # noqa: S105
    UNKNOWN_VALIDATOR = "UNKNOWN_VALIDATOR"
    VALIDATOR_INACTIVE = "VALIDATOR_INACTIVE"


class Unauthorized(Message):
    """miner -> validator: refused; logged only."""

    message_type: Literal["UnauthorizedError"] = "UnauthorizedError"
    code: UnauthorizedCode
    details: str | None = None


class ChallengeAnswer(BaseModel):
    """What makes a login good for one connection to one facilitator, now.

    `audience` is the host name under which the validator knows the facilitator.
    """

    model_config = ConfigDict(frozen=True)

    nonce: str = Field(max_length=128)
    audience: str = Field(max_length=255)
    timestamp: int = Field(ge=0, lt=2**63)


class FacilitatorLogin(Message):
    """validator -> facilitator: the first message of every connection.

    The published form signs the validator's own key, the same every time. With `challenge`, which
    only a facilitator that offered one (header `X-Validator-Login-Challenge`) is sent, the
    signature covers that instead.
    """

    message_type: Literal["V0AuthenticationRequest"] = "V0AuthenticationRequest"
    public_key: str
    signature: str
    challenge: ChallengeAnswer | None = Field(None, exclude_if=lambda answer: answer is None)

    @classmethod
    def signed(cls, validator: signing.Signer) -> "FacilitatorLogin":
        """The published login: the validator signs its own public key, the same every time."""
        key = signing.public_key(validator.ss58_address)
        return cls(public_key=key.hex(), signature=signing.signed_hex(validator, key))

    @classmethod
    def answering(
        cls, validator: signing.Signer, nonce: str, *, audience: str, timestamp: int
    ) -> "FacilitatorLogin":
        """A login that answers the challenge of one connection to the facilitator `audience`."""
        answer = ChallengeAnswer(nonce=nonce, audience=audience, timestamp=timestamp)
        key = signing.public_key(validator.ss58_address)
        unsigned = cls(public_key=key.hex(), signature="", challenge=answer)
        signature = signing.signed_hex(validator, unsigned.blob())
        return unsigned.model_copy(update={"signature": signature})

    def blob(self) -> bytes:
        """The bytes the validator signs."""
        if self.challenge is None:
            return self.key()
        return signing.spaced_json(
            {
                "purpose": CHALLENGE_PURPOSE,
                "public_key": self.key().hex(),
                **self.challenge.model_dump(mode="json"),
            }
        )

    def key(self) -> bytes:
        """The 32 raw bytes of the public key; raises `BadSignature` when it is malformed."""
        try:
            raw = bytes.fromhex(self.public_key)
        except ValueError as exc:
            raise BadSignature("public_key is not hexadecimal") from exc
        if len(raw) != 32:
            raise BadSignature("public_key has 32 bytes")
        return raw

    def verify(self) -> str:
        """The validator's SS58 address; raises `BadSignature` unless it signed this login."""
        hotkey = signing.address(self.key())
        signing.verify_hex(hotkey, self.blob(), self.signature)
        return hotkey


class Heartbeat(Message):
    """validator -> facilitator, every minute; not answered."""

    message_type: Literal["V0Heartbeat"] = "V0Heartbeat"


class Problem(BaseModel):
    """One thing the facilitator did not like."""

    model_config = ConfigDict(frozen=True, extra="allow")

    msg: str
    type: str
    help: str = ""


class Response(Message):
    """facilitator -> validator: answers one login or status, in order. Has no wire tag."""

    status: Literal["success", "error"]
    errors: list[Problem] = []
    extensions: Announced = ()

    @classmethod
    def refusal(cls, kind: str, msg: str, *, help: str = "") -> "Response":
        """An error response with one problem of type `kind`, such as `auth.not_authenticated`."""
        return cls(status="error", errors=[Problem(msg=msg, type=kind, help=help)])
