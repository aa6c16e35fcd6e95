"""What the container engine says of itself: versions, security options and runtimes.

Engines compute this at a cost (Docker runs `runc --version` among others), and every executor needs
it before its job; so it is read at most once a minute by all executors of a work directory.
"""

import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from executor.sandbox.advisories import version

# In the work directory of the executors.
FILE = "engine.json"
VALID_SECONDS = 60.0
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class EngineDescription:
    """An engine's description of itself.

    `components` holds the version of each component, such as `runc`, as its distribution names it;
    `runtimes` the program of each runtime it can start containers with, by name.
    """

    components: dict[str, str]
    security_options: list[str]
    runtimes: dict[str, str]
    default_runtime: str

    @classmethod
    def parse(cls, version_answer: Mapping[str, Any], info_answer: Mapping[str, Any]) -> Self:
        """Read the answers of the engine's `/version` and `/info`."""
        parts = version_answer.get("Components") or []
        commits = {one["Name"]: (one.get("Details") or {}).get("GitCommit") or "" for one in parts}
        return cls(
            components={
                one["Name"]: commits[one["Name"]]
                if version(commits[one["Name"]])
                else one["Version"]
                for one in parts
            },
            security_options=list(info_answer.get("SecurityOptions") or []),
            runtimes={
                name: str((details or {}).get("path") or "")
                for name, details in sorted((info_answer.get("Runtimes") or {}).items())
            },
            default_runtime=str(info_answer.get("DefaultRuntime") or ""),
        )


async def remembered(
    file: Path | None, url: str, describe: Callable[[], Awaitable[EngineDescription]]
) -> EngineDescription:
    """The description in `file`, if it is of this engine, boot and minute; else a new one.

    `file` may be missing or unreadable; a failure to write it is ignored, as the engine is then
    asked again. Raises what `describe` raises.
    """
    if file is None:
        return await describe()
    found = _load(file, url)
    if found is None:
        found = await describe()
        _save(file, url, found)
    return found


def _load(file: Path, url: str) -> EngineDescription | None:
    try:
        kept = json.loads(file.read_bytes())
        age = time.monotonic() - kept["read_at"]
        if kept["about"] != _about(url) or not 0 <= age < VALID_SECONDS:
            return None
        return EngineDescription(**kept["description"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _save(file: Path, url: str, description: EngineDescription) -> None:
    kept = {"about": _about(url), "read_at": time.monotonic(), "description": asdict(description)}
    new = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        new.write_text(json.dumps(kept))
        new.replace(file)
    except OSError:
        with suppress(OSError):
            new.unlink()


def _about(url: str) -> list[str]:
    """What a description is of: the times in it are those of one boot."""
    return [BOOT_ID.read_text().strip(), url]
