"""Which of the operator's images jobs may use."""

import asyncio
import json
import subprocess

import pytest
from aiohttp import web

from compute_horde.errors import JobError
from executor.config import PullPolicy
from tests.executor.images.registry import MANIFEST, zeros

pytestmark = pytest.mark.docker


async def test_an_image_that_nobody_published_is_run_when_the_operator_lists_it(
    obtain, own_engine_url, registry
):
    name = f"{registry.host}/company/secret:1"
    subprocess.run(
        ["docker", "-H", own_engine_url, "import", "-", name], input=zeros(1000), check=True
    )
    with pytest.raises(JobError, match="does not have it"):
        await obtain(name)
    with pytest.raises(JobError, match="is not on this machine"):
        await obtain(name, pull_policy=PullPolicy.NEVER)
    assert await obtain(name, local_images=(f"{registry.host}/company/*",))


async def pulled_by_the_operator(url, name):
    pulling = await asyncio.create_subprocess_exec("docker", "-H", url, "pull", name)
    assert await pulling.wait() == 0


async def test_what_the_operator_fetched_is_used_once_its_registry_gave_it_to_everybody(
    obtain, registry, own_engine_url
):
    name = registry.push("some/image:1", zeros(1000))
    await pulled_by_the_operator(own_engine_url, name)
    asked = len(registry.asked)
    image = await obtain(name, pull_policy=PullPolicy.NEVER)
    assert image.digests
    [manifest] = registry.asked[asked:]
    assert manifest == f"/v2/some/image/manifests/{image.digests[0].partition('@')[2]}"
    # From then on its registry is not needed any more.
    assert await obtain(name) == image
    assert len(registry.asked) == asked + 1
    # Under another name it is not the operator's, and nobody says that it is there.
    with pytest.raises(JobError, match="does not have it"):
        await obtain(name.replace("some", "other"))


async def test_what_the_operator_fetched_with_a_password_is_no_job_s(
    obtain, registry, own_engine_url
):
    name = registry.push("company/secret:1", zeros(1000))
    await pulled_by_the_operator(own_engine_url, name)
    listed = registry.manifests.copy()
    # Others are let in no more; nothing but the digest of its configuration is known to them.
    for path in listed:
        registry.answers[path] = lambda _: web.json_response({}, status=401)
    with pytest.raises(JobError, match="does not let everybody pull it"):
        await obtain(name)
    with pytest.raises(JobError, match="is not on this machine"):
        await obtain(name, pull_policy=PullPolicy.NEVER)
    body = json.loads(listed["/v2/company/secret/manifests/1"][1])
    other = registry.put("somebody/s:1", json.dumps(body).encode(), MANIFEST)
    path = f"/v2/somebody/s/blobs/{body['config']['digest']}"
    registry.answers[path] = lambda _: web.json_response({}, status=404)
    with pytest.raises(JobError, match="does not have it"):
        await obtain(other)
    assert await obtain(name, local_images=(name,))
