"""A small web service for streaming jobs, and a client of it."""

import ssl
import tempfile

import httpx

from compute_horde.streaming.certificates import Identity

# Serves until somebody asks for /cgi-bin/terminate.
SCRIPT = r"""
cd /tmp && mkdir -p www/cgi-bin && echo fine > www/health && echo hello > www/hello
cgi() {
    printf '#!/bin/sh\necho Content-Type: text/plain; echo; %s\n' "$2" > "www/cgi-bin/$1"
    chmod +x "www/cgi-bin/$1"
}
cgi echo cat
cgi terminate 'touch /tmp/over; echo bye'
cgi slow 'while :; do echo tick; sleep 0.1; done'
busybox httpd -f -p 8000 -h /tmp/www &
while [ ! -e /tmp/over ]; do sleep 0.1; done
echo served
"""


def user(server: str, identity: Identity | None) -> ssl.SSLContext:
    """A TLS context that trusts exactly one server and presents `identity`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=server)
    if identity:
        with tempfile.NamedTemporaryFile("w") as both:
            both.write(identity.key_pem + identity.pem)
            both.flush()
            context.load_cert_chain(both.name)
    return context


def client(port: int, server: str, identity: Identity | None) -> httpx.AsyncClient:
    """An HTTP client of the user."""
    return httpx.AsyncClient(
        base_url=f"https://127.0.0.1:{port}", verify=user(server, identity), timeout=20
    )
