"""Login at a facilitator by signing its nonce with the hotkey."""

import re
from typing import Any
from urllib.parse import urlsplit

from compute_horde.errors import ComputeHordeError
from compute_horde.signing import SIGNATURE_BYTES, Signer
from compute_horde_sdk import peers_requiring_proof
from compute_horde_sdk.errors import RequestRefused

# The hotkey also signs JSON, digests, and colon-separated texts with its own address. A facilitator
# must not obtain a signature over any of those by presenting it as a nonce.
NONCE = re.compile(r"[A-Za-z0-9:._~+/=-]{1,1024}")
# Answers to expired tokens, and to tokens of a facilitator that has changed its signing key.
EXPIRED_TOKEN_ERRORS = (b"Token expired", b"Token decode error", b"Token missing subject")


# Facilitators of this project put the host name that the login is for into their nonces.
NONCE_WITH_HOST = re.compile(r"[0-9a-f]{32}\+(?P<name>.+):[^:]+:[^:]+")


def host_of(url: str) -> str:
    """The host name in a facilitator's URL."""
    return urlsplit(url).hostname or ""


def credentials(answer: Any, hotkey: Signer, host: str) -> dict[str, str]:
    """The login request's fields for the nonce in `answer` of the facilitator at `host`.

    Raises `ComputeHordeError` for a nonce that must not be signed.
    """
    nonce = answer.get("nonce") if isinstance(answer, dict) else None
    if not isinstance(nonce, str):
        raise ComputeHordeError(
            "the facilitator gave no nonce to log in with; is the URL that of a facilitator?"
        )
    _check_is_nonce(nonce, hotkey)
    _check_nonce_host(nonce, host)
    signature = bytes(hotkey.sign(nonce.encode()))
    if len(signature) != SIGNATURE_BYTES:
        raise ComputeHordeError(
            f"the hotkey made a signature of {len(signature)} bytes, not {SIGNATURE_BYTES}; "
            "give an sr25519 keypair"
        )
    return {"hotkey": hotkey.ss58_address, "signature": signature.hex(), "nonce": nonce}


def _check_is_nonce(nonce: str, hotkey: Signer) -> None:
    hexadecimal = nonce[:2].lower() == "0x"
    if hexadecimal or hotkey.ss58_address in nonce or not NONCE.fullmatch(nonce):
        raise ComputeHordeError(
            "the facilitator asked for a signature over something that is no nonce; nothing was "
            "signed. Check the facilitator's URL, and tell its operator"
        )


def _check_nonce_host(nonce: str, host: str) -> None:
    """Reject a nonce for another host: its facilitator could log in there as the user."""
    named = NONCE_WITH_HOST.fullmatch(nonce)
    if named is None:
        _check_may_omit_host(host)
    elif named["name"].lower() == host.lower():
        peers_requiring_proof.facilitators.add(host.lower())
    else:
        raise ComputeHordeError(
            f"the facilitator at {host} asked for a login at {named['name'][:255]}; nothing was "
            "signed. If both are the same facilitator, use that name in its URL, or have its "
            f"operator add {host} to FACILITATOR_ALLOWED_HOSTS; else do not trust it"
        )


def _check_may_omit_host(host: str) -> None:
    """Reject a nonce without host name if this facilitator has used host names before."""
    if host.lower() in peers_requiring_proof.facilitators:
        raise ComputeHordeError(
            f"the nonces of the facilitator at {host} no longer contain its host name, so this "
            "may be the nonce of another facilitator; nothing was signed. If its operator went "
            f"back to older software, delete {host} from "
            f"{peers_requiring_proof.facilitators.path()}"
        )


def token(answer: Any) -> str:
    """The token in the answer to a login; raises `ComputeHordeError` when there is none."""
    value = answer.get("token") if isinstance(answer, dict) else None
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise ComputeHordeError("the facilitator accepted the login but returned no token")
    return value


def expired(status: int, body: bytes) -> bool:
    """Whether an answer means that the token must be renewed."""
    return status == 401 and any(word in body for word in EXPIRED_TOKEN_ERRORS)


def check(status: int, body: bytes, address: str, url: str) -> None:
    """Raise `RequestRefused` with advice for a login rejected because of the user's hotkey."""
    if b"Hotkey not allowed" in body:
        raise RequestRefused(
            f"the hotkey {address} is not allowed at {url}: ask the facilitator's operator to add "
            "it to the allowed hotkeys, or use a hotkey that is",
            status_code=status,
        )
    if status == 401 or b"Invalid signature" in body:
        raise RequestRefused(
            f"the facilitator at {url} rejects the signature of {address}; the hotkey's private "
            "key does not belong to its address, or is not sr25519",
            status_code=status,
        )
