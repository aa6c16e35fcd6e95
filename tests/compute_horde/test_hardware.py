"""What each executor class promises is the published table."""

from datetime import timedelta

from compute_horde.hardware import PROMISES, ExecutorClass, Promise

# Models are large.
ROOMY = {"disk_gb": 64, "tmp_gb": 8, "shm_gb": 8}
PUBLISHED = {
    "spin_up-4min.gpu-24gb": Promise("S", timedelta(seconds=240), gpu=True, vram_gb=24, **ROOMY),
    "always_on.gpu-24gb": Promise("A", timedelta(seconds=3), gpu=True, vram_gb=24, **ROOMY),
    "always_on.llm.a6000": Promise(
        "L", timedelta(seconds=30), gpu=True, vram_gb=48, **(ROOMY | {"disk_gb": 192})
    ),
    "always_on.test": Promise("T", timedelta(seconds=3)),
    "always_on.cpu.8c.16gb": Promise("C", timedelta(seconds=30), cores=8, ram_gb=16, disk_gb=32),
}


def test_every_class_has_its_published_promise():
    assert {kind.value: promise for kind, promise in PROMISES.items()} == PUBLISHED
    assert PROMISES.keys() == set(ExecutorClass)


def test_no_two_classes_share_a_letter():
    assert len({promise.code for promise in PROMISES.values()}) == len(PROMISES)


def test_a_class_is_found_by_its_name_if_it_is_known():
    assert ExecutorClass.known("always_on.test") is ExecutorClass.always_on__test
    assert ExecutorClass.known("always_on__test") is None
    assert ExecutorClass.known("") is None
