"""Messages about a miner's executors and hardware."""

from typing import Any, Literal

from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.message import Announced, Count, JobMessage, Message
from compute_horde.receipts import JobUuid


class Manifest(Message):
    """miner -> validator: executors offered per class, in total; sent after every login."""

    message_type: Literal["V0ExecutorManifestRequest"] = "V0ExecutorManifestRequest"
    manifest: dict[ExecutorClass, Count]
    extensions: Announced = ()


class MainHotkey(Message):
    """validator -> miner with null asks, miner -> validator answers."""

    message_type: Literal["V0MainHotkeyMessage"] = "V0MainHotkeyMessage"
    main_hotkey: str | None = None


class MachineSpecs(JobMessage):
    """executor -> miner -> validator: the hardware, just before the result."""

    message_type: Literal["V0MachineSpecsRequest"] = "V0MachineSpecsRequest"
    job_uuid: JobUuid
    specs: dict[str, Any]


class SpecsReported(Message):
    """validator -> facilitator: a miner's hardware."""

    message_type: Literal["V0MachineSpecsUpdate"] = "V0MachineSpecsUpdate"
    miner_hotkey: str
    validator_hotkey: str
    specs: dict[str, Any]
    batch_id: str
