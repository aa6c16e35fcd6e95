"""Executor classes and the hardware each must provide."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class ExecutorClass(StrEnum):
    """A kind of machine a miner may offer."""

    spin_up_4min__gpu_24gb = "spin_up-4min.gpu-24gb"
    always_on__gpu_24gb = "always_on.gpu-24gb"
    always_on__llm__a6000 = "always_on.llm.a6000"
    always_on__test = "always_on.test"
    always_on__cpu__8c__16gb = "always_on.cpu.8c.16gb"

    @classmethod
    def known(cls, name: str) -> "ExecutorClass | None":
        """The class of this name; None when this version does not know it, or no longer."""
        try:
            return cls(name)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Promise:
    """What an executor of a class must deliver.

    `code` is the letter of the class in an on-chain manifest commitment. What
    comes after `ram_gb` bounds one job: an operator may give another number, but never none.
    """

    code: str
    spin_up: timedelta
    gpu: bool = False
    vram_gb: int | None = None
    cores: int | None = None
    ram_gb: int | None = None
    pids: int = 4096
    disk_gb: int = 16
    files: int = 500_000
    tmp_gb: int = 2
    shm_gb: int = 1


PROMISES: dict[ExecutorClass, Promise] = {
    ExecutorClass.spin_up_4min__gpu_24gb: Promise(
        "S", timedelta(seconds=240), gpu=True, vram_gb=24, disk_gb=64, tmp_gb=8, shm_gb=8
    ),
    ExecutorClass.always_on__gpu_24gb: Promise(
        "A", timedelta(seconds=3), gpu=True, vram_gb=24, disk_gb=64, tmp_gb=8, shm_gb=8
    ),
    ExecutorClass.always_on__llm__a6000: Promise(
        "L", timedelta(seconds=30), gpu=True, vram_gb=48, disk_gb=192, tmp_gb=8, shm_gb=8
    ),
    ExecutorClass.always_on__test: Promise("T", timedelta(seconds=3)),
    ExecutorClass.always_on__cpu__8c__16gb: Promise(
        "C", timedelta(seconds=30), cores=8, ram_gb=16, disk_gb=32
    ),
}
