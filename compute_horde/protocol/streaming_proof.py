"""Signatures over the address of a streaming job, so that no party in between can replace it."""

from pydantic import BaseModel, ConfigDict

from compute_horde import signing
from compute_horde.errors import BadSignature
from compute_horde.protocol.handshake import TRUSTED_MINER_HOTKEY

# Distinguishes this signature from all others.
PREFIX = "compute-horde-streaming-v1"


class StreamingProof(BaseModel):
    """The miner's signature over a job's address, and the validator's over the miner's hotkey."""

    model_config = ConfigDict(frozen=True)

    miner_hotkey: str
    miner_signature: str | None = None
    validator_signature: str

    @classmethod
    def given(
        cls,
        validator: signing.Signer,
        miner_hotkey: str,
        miner_signature: str | None,
        where: tuple[str, str | None, int, str],
    ) -> "StreamingProof":
        """Make the validator's proof; `where` is job, address, port and certificate."""
        return cls(
            miner_hotkey=miner_hotkey,
            miner_signature=miner_signature,
            validator_signature=signing.signed_hex(validator, _vouched(miner_hotkey, where)),
        )

    def verify(self, validator_hotkey: str, where: tuple[str, str | None, int, str]) -> None:
        """Raise `BadSignature` unless validator and miner signed exactly this address."""
        signing.verify_hex(
            validator_hotkey, _vouched(self.miner_hotkey, where), self.validator_signature
        )
        check_miner(self.miner_hotkey, self.miner_signature, where)


def check_miner(
    hotkey: str, signature: str | None, where: tuple[str, str | None, int, str]
) -> None:
    """Raise `BadSignature` unless the miner signed this address; a trusted miner need not."""
    if hotkey == TRUSTED_MINER_HOTKEY:
        return
    if signature is None:
        raise BadSignature("the miner did not sign where the job serves")
    signing.verify_hex(hotkey, signing.colon_text(*where), signature)


def _vouched(miner_hotkey: str, where: tuple[str, str | None, int, str]) -> bytes:
    return signing.colon_text(PREFIX, miner_hotkey, *where)
