"""Who is there: logins, refusals, heartbeats and the facilitator's answers."""

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from compute_horde import signing
from compute_horde.errors import BadSignature
from compute_horde.protocol.message import Announced, Message

TRUSTED_MINER_HOTKEY = "0" * 48
MAX_AUTH_AGE_SECONDS = 10


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
        """The bytes the validator signs; what it announces is not among them."""
        return signing.colon_text(self.validator_hotkey, self.miner_hotkey, self.timestamp)

    @classmethod
    def signed(
        cls,
        validator: signing.Signer,
        miner_hotkey: str,
        timestamp: int,
        extensions: tuple[str, ...] = (),
    ) -> "ValidatorAuth":
        """An introduction to one miner, good for ten seconds from `timestamp` (UNIX s)."""
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


class FacilitatorLogin(Message):
    """validator -> facilitator: the first message of every connection."""

    message_type: Literal["V0AuthenticationRequest"] = "V0AuthenticationRequest"
    public_key: str
    signature: str

    @classmethod
    def signed(cls, validator: signing.Signer) -> "FacilitatorLogin":
        """The constant login of this validator (it signs its own public key)."""
        key = signing.public_key(validator.ss58_address)
        return cls(public_key=key.hex(), signature=signing.signed_hex(validator, key))

    def key(self) -> bytes:
        """The 32 raw bytes of the key; `BadSignature` when they are not that."""
        try:
            raw = bytes.fromhex(self.public_key)
        except ValueError as exc:
            raise BadSignature("public_key is not hexadecimal") from exc
        if len(raw) != 32:
            raise BadSignature("public_key has 32 bytes")
        return raw

    def verify(self) -> str:
        """The validator's SS58 address; `BadSignature` unless it signed its own key."""
        key = self.key()
        hotkey = signing.address(key)
        signing.verify_hex(hotkey, key, self.signature)
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
        """An error answer with one problem of type `kind`, such as `auth.not_authenticated`."""
        return cls(status="error", errors=[Problem(msg=msg, type=kind, help=help)])
