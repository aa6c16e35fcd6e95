"""TLS of the client of a streaming job: it trusts one server, and shows its own certificate."""

import os
import ssl
import tempfile

from cryptography import x509

from compute_horde.streaming import certificates
from compute_horde.streaming.certificates import Identity


def client_context(server: x509.Certificate, identity: Identity) -> ssl.SSLContext:
    """A TLS context that accepts only the server's certificate; host names are not checked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=certificates.pem_of(server))
    with tempfile.TemporaryDirectory() as folder:
        # The folder is accessible to its owner only and removed before any request.
        path = os.path.join(folder, "identity.pem")
        with open(path, "w") as both:
            both.write(identity.key_pem + identity.pem)
        context.load_cert_chain(path)
    return context
