"""Known vulnerabilities of container engines: component, fixed versions, refused jobs."""

import json
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from compute_horde import signing
from compute_horde.errors import BadSignature, ConfigurationError

RUNC, TOOLKIT = "runc", "nvidia-container-toolkit"
MAX_FILE_BYTES = 2**20
# The `type` of a signed file; the built-in advisories are always checked as well.
FILE_TYPE = "compute_horde.advisories"

# A version number of three parts, the stage of a pre-release and its number.
Version = tuple[int, int, int, int, int]
STAGES = ("alpha", "beta", "rc")
RELEASE = len(STAGES)
# Suffixes of distributions in the same place, which mark no pre-release.
REPACKED = frozenset({"ds", "dfsg", "ce", "ee"})
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:[-~.]?([A-Za-z]+)[-.]?(\d{1,9})?)?")


class RefusedJobs(StrEnum):
    """Which jobs an executor with the vulnerability refuses."""

    GPUS = "gpus"
    EVERYTHING = "everything"


class Advisory(BaseModel):
    """A vulnerability of one component.

    `fixed` lists the first fixed version of each release line, `patched` the versions of
    distributions that fixed an older one, as the engine reports them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    component: str
    fixed: tuple[str, ...]
    refused: RefusedJobs
    patched: tuple[str, ...] = ()

    def affects(self, text: str) -> bool:
        """Whether a version is vulnerable; one that cannot be parsed counts as vulnerable."""
        if text in self.patched:
            return False
        found, lines = version(text), [one for fix in self.fixed if (one := version(fix))]
        if found is None or not lines:
            return True
        return found < max(lines) and not any(found[:2] == one[:2] <= found >= one for one in lines)


BUILT_IN = (
    Advisory(
        id="CVE-2024-21626",
        component=RUNC,
        fixed=("1.1.12",),
        refused=RefusedJobs.EVERYTHING,
        patched=("1.1.5+ds1-1+deb12u1",),
    ),
    # Races between containers and their mounts. Debian 12 has no fix: it may serve no GPUs.
    Advisory(
        id="CVE-2025-31133, CVE-2025-52565, CVE-2025-52881",
        component=RUNC,
        fixed=("1.2.8", "1.3.3", "1.4.0-rc.3"),
        refused=RefusedJobs.GPUS,
    ),
    Advisory(
        id="CVE-2024-0132, CVE-2025-23359",
        component=TOOLKIT,
        fixed=("1.17.4",),
        refused=RefusedJobs.GPUS,
    ),
    Advisory(
        id="CVE-2025-23266, CVE-2025-23267",
        component=TOOLKIT,
        fixed=("1.17.8",),
        refused=RefusedJobs.GPUS,
    ),
)


def version(text: str) -> Version | None:
    """The first three-part version number in a text, comparable with others.

    A pre-release (`1.4.0-rc.1`, `1.4.0~rc1`) comes before its release. What follows a `+`, and
    numbers after a hyphen, are a build's or a distribution's own.
    """
    found = _VERSION.search(text)
    if not found:
        return None
    major, minor, patch, word, number = found.groups()
    # Unknown words sort before all others, so that they never count as fixed.
    stage = RELEASE if word is None or word.lower() in REPACKED else _stage(word.lower())
    return int(major), int(minor), int(patch), stage, 0 if stage == RELEASE else int(number or 0)


def _stage(word: str) -> int:
    return STAGES.index(word) if word in STAGES else -1


def applicable(
    advisories: Iterable[Advisory], versions: Mapping[str, str], accepted: Iterable[str]
) -> list[Advisory]:
    """The advisories that affect these versions and are not accepted by the operator."""
    known = set(accepted)
    return [
        one
        for one in advisories
        if one.component in versions
        and one.affects(versions[one.component])
        and not set(one.id.split(", ")) <= known
    ]


def signed_file(path: Path, signer: str) -> tuple[Advisory, ...]:
    """The advisories of a file signed by `signer`: JSON with `type`, `advisories`, `signature`.

    The signature is over the compact JSON of all other keys, sorted. Raises `ConfigurationError`
    for a file that cannot be read or is not signed by `signer`.
    """
    try:
        with path.open("rb") as file:
            data: dict[str, Any] = json.loads(file.read(MAX_FILE_BYTES))
        signature = data.pop("signature")
        signing.verify_hex(signer, signing.compact_json(data), signature)
        if data["type"] != FILE_TYPE:
            raise ValueError(f"its type is not {FILE_TYPE}")
        return tuple(Advisory.model_validate(one) for one in data["advisories"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, BadSignature) as exc:
        detail = "an advisory is malformed" if isinstance(exc, ValidationError) else exc
        raise ConfigurationError(f"EXECUTOR_ADVISORIES_FILE {path}: {detail!s}") from exc
