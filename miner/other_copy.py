"""Detects another copy of this miner, with the same hotkey, that uses another database.

Copies that share a database wait for each other (`compute_horde.django.single_instance`). Others
would announce their addresses in turn, and validators would lose both. So a miner sends a request
to the address that the chain has for its hotkey. Only a copy that signs the nonce of the request
with the hotkey counts: the old address of a miner that moved may belong to another miner by now,
or to an attacker.
"""

import http.client
import json
import re
import secrets
import threading
import time
from contextlib import suppress
from enum import Enum, auto
from hashlib import sha256
from socket import SHUT_RDWR, socket

from django.db import connection

from compute_horde import signing
from compute_horde.errors import BadSignature

# A request has the nonce, its response the other two.
NONCE_HEADER = "X-CH-Instance-Nonce"
INSTANCE_HEADER = "X-CH-Instance"
SIGNATURE_HEADER = "X-CH-Instance-Signature"
# No other signed text begins like this.
PURPOSE = "compute-horde-miner-instance-v1"
PATH = "/version"
PROBE_SECONDS = 3.0
PROBE_BYTES = 2**14
YIELD_SECONDS = 15 * 60.0
IDENTITY = (
    "SELECT system_identifier, oid FROM pg_control_system(), pg_database "
    "WHERE datname = current_database()"
)
_NONCE = re.compile("[0-9a-f]{32}")


class ProbeResult(Enum):
    """What was found at an address."""

    NOTHING = auto()
    # A miner that did not prove that it has this hotkey.
    UNPROVEN = auto()
    SAME_INSTANCE = auto()
    OTHER_COPY = auto()


def instance_id() -> str:
    """What distinguishes this miner from its copies: a hash of the identity of its database."""
    with connection.cursor() as cursor:
        cursor.execute(IDENTITY)
        return sha256(repr(cursor.fetchone()).encode()).hexdigest()[:16]


def instance_proof(hotkey: signing.Signer, own_id: str, nonce: str) -> dict[str, str]:
    """The response headers that prove which instance this is; none without a valid `nonce`."""
    if not _NONCE.fullmatch(nonce):
        return {}
    signature = signing.signed_hex(hotkey, signing.colon_text(PURPOSE, own_id, nonce))
    return {INSTANCE_HEADER: own_id, SIGNATURE_HEADER: signature}


def probe(ip: str, port: int, hotkey: str) -> ProbeResult:
    """Send a request to an address; the whole response must arrive within `PROBE_SECONDS`."""
    deadline = time.monotonic() + PROBE_SECONDS
    nonce = secrets.token_hex(16)
    client = http.client.HTTPConnection(ip, port, timeout=PROBE_SECONDS)
    try:
        client.connect()
        client.auto_open = 0
        # The timeout of a socket applies to each piece of the response, not to all of it.
        abort_timer = threading.Timer(deadline - time.monotonic(), _shut_down, [client.sock])
        abort_timer.start()
        try:
            client.request("GET", PATH, headers={"Connection": "close", NONCE_HEADER: nonce})
            response = client.getresponse()
            body = json.loads(response.read(PROBE_BYTES))
        finally:
            abort_timer.cancel()
    except (OSError, ValueError, RecursionError, http.client.HTTPException):
        return ProbeResult.NOTHING
    finally:
        client.close()
    if response.status != 200 or not isinstance(body, dict) or "miner_version" not in body:
        return ProbeResult.NOTHING
    theirs = response.getheader(INSTANCE_HEADER, "")
    try:
        blob = signing.colon_text(PURPOSE, theirs, nonce)
        signing.verify_hex(hotkey, blob, response.getheader(SIGNATURE_HEADER, ""))
    except BadSignature:
        return ProbeResult.UNPROVEN
    return ProbeResult.SAME_INSTANCE if theirs == instance_id() else ProbeResult.OTHER_COPY


def _shut_down(sock: socket) -> None:
    with suppress(OSError):
        sock.shutdown(SHUT_RDWR)


class CopyDetector:
    """Decides which of two copies yields: the one that was announced before the other.

    A new copy that finds another one waits. If the other still answers after `YIELD_SECONDS`, the
    new copy is announced instead, and the other yields for as long as the new one answers.
    """

    def __init__(self) -> None:
        self._was_announced = False
        self._since: float | None = None

    def mark_announced(self) -> None:
        """The chain has the address of this copy now."""
        self._was_announced, self._since = True, None

    def must_yield(self) -> bool:
        """Whether the address on the chain is left to the other copy, just found there."""
        now = time.monotonic()
        if self._since is None:
            self._since = now
        return self._was_announced or now - self._since < YIELD_SECONDS
