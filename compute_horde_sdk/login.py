"""Proving to a facilitator which hotkey asks (protocol §3.1)."""

import re
from typing import Any

from compute_horde.errors import ComputeHordeError
from compute_horde.signing import SIGNATURE_BYTES, Signer
from compute_horde_sdk.errors import RequestRefused

# The hotkey signs other things too: JSON, digests, colon texts that hold its own address. A
# facilitator must not get a signature over any of them by calling it a nonce.
NONCE = re.compile(r"[A-Za-z0-9:._~+/=-]{1,1024}")
EXPIRED = b"Token expired"


def credentials(answer: Any, hotkey: Signer) -> dict[str, str]:
    """The login for the nonce in a facilitator's answer."""
    nonce = answer.get("nonce") if isinstance(answer, dict) else None
    if not isinstance(nonce, str):
        raise ComputeHordeError(
            "the facilitator gave no nonce to log in with; is the URL that of a facilitator?"
        )
    _refuse_to_sign(nonce, hotkey)
    signature = bytes(hotkey.sign(nonce.encode()))
    if len(signature) != SIGNATURE_BYTES:
        raise ComputeHordeError(
            f"the hotkey made a signature of {len(signature)} bytes, not {SIGNATURE_BYTES}; "
            "give an sr25519 keypair"
        )
    return {"hotkey": hotkey.ss58_address, "signature": signature.hex(), "nonce": nonce}


def _refuse_to_sign(nonce: str, hotkey: Signer) -> None:
    hexadecimal = nonce[:2].lower() == "0x"
    if hexadecimal or hotkey.ss58_address in nonce or not NONCE.fullmatch(nonce):
        raise ComputeHordeError(
            "the facilitator asked for a signature over something that is no nonce; nothing was "
            "signed. Check the facilitator's URL, and tell its operator"
        )


def token(answer: Any) -> str:
    """The token in the answer to a login."""
    told = answer.get("token") if isinstance(answer, dict) else None
    if not isinstance(told, str) or not told.isascii() or not told.isprintable():
        raise ComputeHordeError("the facilitator took the login and gave no token")
    return told


def expired(status: int, body: bytes) -> bool:
    """Whether an answer means that a new login will help."""
    return status == 401 and EXPIRED in body


def check(status: int, body: bytes, address: str, url: str) -> None:
    """Explain the refusals of a login that a user can do something about."""
    if b"Hotkey not allowed" in body:
        raise RequestRefused(
            f"the hotkey {address} is not allowed at {url}: ask the facilitator's operator to add "
            "it to the allowed hotkeys, or use a hotkey that is",
            status_code=status,
        )
    if status == 401 or b"Invalid signature" in body:
        raise RequestRefused(
            f"the facilitator at {url} does not take the signature of {address}; the hotkey's "
            "private key does not belong to its address, or is not sr25519",
            status_code=status,
        )
