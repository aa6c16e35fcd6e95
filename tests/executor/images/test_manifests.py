"""Manifests of images are validated."""

import json

import pytest

from executor.images import manifests
from executor.images.errors import ImageError
from executor.images.manifests import Blob, Platform

KIND = manifests.MANIFESTS[0]
CONFIG = {"mediaType": "application/vnd.oci.image.config.v1+json"}
DIGEST = "sha256:" + "a" * 64
LINUX = Platform("linux", "amd64")


def body(**changes):
    part = {"digest": DIGEST, "size": 5}
    return json.dumps({"config": CONFIG | part, "layers": [part, part]} | changes).encode()


def test_a_layer_that_occurs_twice_is_sent_once():
    read = manifests.read(body(), KIND)
    assert read.layers == (Blob(DIGEST, 5),) * 2
    assert read.size == 10
    assert read.blob(DIGEST) == Blob(DIGEST, 5)
    assert read.blob("sha256:other") is None


@pytest.mark.parametrize(
    "changes",
    [
        {"layers": None},
        {"layers": [{"digest": DIGEST, "size": True}]},
        {"layers": [{"digest": DIGEST, "size": 1.5}]},
        {"layers": [{"digest": "sha512:00", "size": 1}]},
        {"layers": ["x"]},
        {"layers": [{"digest": DIGEST, "size": 5}] * 126},
        {"config": None},
        {"config": {"mediaType": "application/vnd.example.model", "digest": DIGEST, "size": 5}},
        {"config": CONFIG | {"digest": DIGEST, "size": 10**9}},
    ],
)
def test_what_no_engine_could_use_is_refused(changes):
    with pytest.raises(ImageError):
        manifests.read(body(**changes), KIND)


@pytest.mark.parametrize("listed", [None, {}, [{}], ["x"], [{"platform": []}], [{}] * 2000])
def test_a_list_without_our_platform_is_refused(listed):
    with pytest.raises(ImageError):
        manifests.choose(json.dumps({"manifests": listed}).encode(), LINUX)


@pytest.mark.parametrize("body", ["{}", '{"token": ""}', '{"token": "a b"}', '{"token": 5}', "[]"])
def test_an_answer_without_a_token_is_refused(body):
    with pytest.raises(ImageError):
        manifests.token_of(body.encode())
