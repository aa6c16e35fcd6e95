"""Interfaces of libraries that are not public and that we use: a new version may take them away.

Each has a ceiling in pyproject.toml; whoever raises one reads here what broke.
"""

from importlib import import_module

import pytest

USED = [
    ("aiodocker", "Docker._query", "executor/sandbox, executor/images"),
    ("aiodocker", "Docker._canonicalize_url", "executor/sandbox/container.py"),
    ("django.core.handlers.asgi", "ASGIHandler._get_response_async", "facilitator/web"),
    ("django.core.handlers.asgi", "ASGIHandler.send_response", "facilitator/web"),
    ("huggingface_hub.utils._paths", "filter_repo_objects", "executor/transfer/huggingface"),
    *(
        (
            "uvicorn.protocols.websockets.websockets_sansio_impl",
            f"WebSocketsSansIOProtocol.{name}",
            "compute_horde/django/guarded_websocket.py",
        )
        for name in (
            "handle_connect",
            "handle_cont",
            "send_receive_event_to_app",
            "pause_writing",
            "resume_writing",
        )
    ),
    (
        "uvicorn.protocols.http.httptools_impl",
        "HttpToolsProtocol.on_headers_complete",
        "compute_horde/django/guarded_http.py",
    ),
]


@pytest.mark.parametrize(("module", "name", "used_in"), USED, ids=lambda word: word)
def test_a_private_interface_is_still_there(module, name, used_in):
    found = import_module(module)
    for part in name.split("."):
        found = getattr(found, part, None)
        assert found is not None, f"{module}.{name} is gone: mend {used_in}"
