"""Who vouches for the address of a streaming job, so that nobody on the way can exchange it."""

from pydantic import BaseModel, ConfigDict

from compute_horde import signing
from compute_horde.errors import BadSignature
from compute_horde.protocol.handshake import TRUSTED_MINER_HOTKEY

# No signature over anything else begins like this.
PREFIX = "compute-horde-streaming-v1"


class StreamingProof(BaseModel):
    """The miner's word for where a job serves, and the validator's for who that miner is."""

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
        """`where` is job, address, port and certificate."""
        return cls(
            miner_hotkey=miner_hotkey,
            miner_signature=miner_signature,
            validator_signature=signing.signed_hex(validator, _vouched(miner_hotkey, where)),
        )

    def verify(self, validator_hotkey: str, where: tuple[str, str | None, int, str]) -> None:
        """`BadSignature` unless validator and miner mean exactly this place."""
        signing.verify_hex(
            validator_hotkey, _vouched(self.miner_hotkey, where), self.validator_signature
        )
        check_miner(self.miner_hotkey, self.miner_signature, where)


def check_miner(
    hotkey: str, signature: str | None, where: tuple[str, str | None, int, str]
) -> None:
    """`BadSignature` unless the miner signed this place; a trusted miner's key nobody knows."""
    if hotkey == TRUSTED_MINER_HOTKEY:
        return
    if signature is None:
        raise BadSignature("the miner did not sign where the job serves")
    signing.verify_hex(hotkey, signing.colon_text(*where), signature)


def _vouched(miner_hotkey: str, where: tuple[str, str | None, int, str]) -> bytes:
    return signing.colon_text(PREFIX, miner_hotkey, *where)
