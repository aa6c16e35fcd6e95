"""A manifest counts executors of known classes."""

import pytest

from compute_horde.errors import ProtocolError
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol import links
from compute_horde.protocol.capacity import Manifest
from tests.compute_horde.vectors import compact


@pytest.mark.parametrize(
    "manifest",
    [
        {"always_on.test": -1},
        {"always_on.test": 2**31},
        {"always_on.tests": 1},
        {"always_on.test": None},
        [],
        None,
    ],
    ids=repr,
)
def test_a_manifest_with_another_class_or_count_is_refused_whole(manifest):
    frame = {"message_type": "V0ExecutorManifestRequest", "manifest": manifest}
    with pytest.raises(ProtocolError, match="manifest"):
        links.MINER_TO_VALIDATOR.decode(compact(frame))


def test_an_empty_manifest_means_a_pause():
    paused = Manifest(manifest={})
    assert links.MINER_TO_VALIDATOR.decode(paused.encode()) == paused


def test_every_class_may_be_offered():
    full = Manifest(manifest=dict.fromkeys(ExecutorClass, 3))
    assert links.MINER_TO_VALIDATOR.decode(full.encode()) == full
