"""The HTTP server of the streaming form: waits for the seed, and answers with a hash.

`GET /health` answers 200 once the model is ready. `POST /execute-job` with `{"seed": N}` has the
prompts answered and returns `{"NAME": "SHA-256 of the file"}`; it works once. `GET /terminate` ends
the server. The executor's proxy in front of it admits only who has the validator's certificate.
"""

import json
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from threading import Lock
from typing import Any

PORT = 8000
MAX_BODY_BYTES = 4096
SECONDS = 10.0


class SeedServer(ThreadingHTTPServer):
    """Calls `solve` with the first seed that comes."""

    # Requests end before the process does.
    daemon_threads = False

    def __init__(self, address: tuple[str, int], solve: Callable[[int], dict[str, str]]) -> None:
        self._solve = solve
        self._lock = Lock()
        self._answer: dict[str, str] | None = None
        self._seed: int | None = None
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without the look-up of this machine's name that `HTTPServer` makes."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.server_address[1]

    def answer(self, seed: int) -> dict[str, str] | None:
        """The answer to a seed, None to another one than the first; a repeat waits for it."""
        with self._lock:
            if self._seed is None:
                self._seed = seed
                self._answer = self._solve(seed)
            return self._answer if seed == self._seed else None

    def serve_until_ended(self) -> None:
        """Serve until `/terminate`."""
        with self:
            self.serve_forever(poll_interval=0.1)


class _Handler(BaseHTTPRequestHandler):
    server: SeedServer
    timeout = SECONDS

    def do_GET(self) -> None:
        """Say that the server is healthy, or end it."""
        if self.path == "/health":
            self._send(HTTPStatus.OK, {"status": "ready"})
        elif self.path == "/terminate":
            self._send(HTTPStatus.OK, {"status": "ended"})
            self.server.shutdown()
        else:
            self._send(HTTPStatus.NOT_FOUND, {"error": "there is no such path"})

    def do_POST(self) -> None:
        """Answer the prompts with the seed."""
        if self.path != "/execute-job":
            return self._send(HTTPStatus.NOT_FOUND, {"error": "there is no such path"})
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            return self._send(
                HTTPStatus.BAD_REQUEST, {"error": "send a short body with its length"}
            )
        try:
            seed = json.loads(self.rfile.read(int(length)))["seed"]
        except (ValueError, TypeError, KeyError):
            seed = None
        if type(seed) is not int:
            return self._send(HTTPStatus.BAD_REQUEST, {"error": 'send {"seed": a whole number}'})
        if (found := self.server.answer(seed)) is None:
            return self._send(HTTPStatus.CONFLICT, {"error": "another seed came before"})
        return self._send(HTTPStatus.OK, found)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged: the container's output is the job's."""

    def _send(self, status: HTTPStatus, body: dict[str, str]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
