"""TLS of the client of a streaming job."""

import ssl
import tempfile

import pytest

from compute_horde.streaming.certificates import Identity, new_identity
from compute_horde.streaming.client_context import client_context

SERVER, CLIENT, OTHER = new_identity(), new_identity(), new_identity()


def accepting(admits: Identity) -> ssl.SSLContext:
    """The side of the job's server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    # So that the client's certificate is part of the handshake that the client sees.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=admits.pem)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(SERVER.key_pem + SERVER.pem)
        file.flush()
        context.load_cert_chain(file.name)
    return context


@pytest.mark.parametrize(
    ("trusts", "admits", "succeeds"),
    [(SERVER, CLIENT, True), (OTHER, CLIENT, False), (SERVER, OTHER, False)],
)
def test_a_handshake_needs_both_certificates(
    trusts: Identity, admits: Identity, succeeds: bool
) -> None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context(trusts.certificate, CLIENT).wrap_bio(to_client, to_server)
    server = accepting(admits).wrap_bio(to_server, to_client, server_side=True)
    assert _shakes_hands(client, server) is succeeds


def _shakes_hands(*sides: ssl.SSLObject) -> bool:
    for _ in range(10):
        done = 0
        for side in sides:
            try:
                side.do_handshake()
                done += 1
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
        if done == len(sides):
            return True
    return False
