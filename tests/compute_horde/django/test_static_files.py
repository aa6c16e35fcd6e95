"""Static files are found, and no path leads to anything else."""

import pytest
from django.core.handlers.asgi import ASGIHandler, ASGIRequest

from compute_horde.django.static_files import StaticFilesHandler


async def answer(path: str):
    scope = {"type": "http", "method": "GET", "path": path, "headers": []}
    request = ASGIRequest(scope, None)
    return await StaticFilesHandler(ASGIHandler()).get_response_async(request)


async def test_a_file_of_the_admin_is_served():
    found = await answer("/static/admin/css/base.css")
    assert (found.status_code, found["Content-Type"]) == (200, "text/css")
    text = b"".join([part async for part in found])
    found.close()
    assert b"body" in text


@pytest.mark.parametrize(
    "path",
    [
        "/static/admin/css/none.css",
        "/static/../../../etc/passwd",
        "/static//etc/passwd",
        "/static/\0",
        "/static/" + "a" * 5000,
        "/static/",
    ],
)
async def test_any_other_path_is_not_found(path):
    assert (await answer(path)).status_code == 404
