"""A pull error is the machine's fault only when the engine's text ends with its error."""

import pytest

from executor.images.engine_images import MACHINE, EngineImages
from executor.images.manifests import Platform
from executor.sandbox.container import EngineError

LAYER = "failed to register layer: Error processing tar file(exit status 1): "


@pytest.mark.parametrize(
    ("detail", "machine"),
    [
        (f"{LAYER}write /usr/lib/x: no space left on device", True),
        (f"{LAYER}open /x: too many open files", True),
        ("dial tcp 127.0.0.1:5000: connect: connection refused", True),
        (f"{LAYER}mkdir /no space left on device: not a directory", False),
        (f"{LAYER}invalid tar header", False),
        ("filesystem layer verification failed for digest sha256:00", False),
    ],
)
def test_the_names_in_an_archive_blame_nobody(detail, machine):
    assert bool(MACHINE.search(detail)) is machine


@pytest.mark.docker
async def test_what_is_not_there_is_removed_already(engine):
    images = EngineImages(engine)
    assert await images.remove("executor-tests/never-was:1")
    with pytest.raises(EngineError):
        await images.tag("sha256:" + "0" * 64, "executor-tests/new:1")


@pytest.mark.docker
async def test_the_engine_tells_where_it_keeps_images_and_for_what(engine):
    images = EngineImages(engine)
    assert (await images.platform()).os == "linux"
    assert isinstance(await images.platform(), Platform)
    assert (await images.root()).is_absolute()
