"""A miner's manifest in its on-chain commitment."""

import re
from collections.abc import Mapping

from compute_horde.errors import ConfigurationError
from compute_horde.hardware import PROMISES, ExecutorClass

MAX_BYTES = 128
_ENVELOPE = re.compile(r"<M:([^>]*)>")
_COUNT = re.compile(r"[0-9]{1,9}")
_CLASSES = {promise.code: executor_class for executor_class, promise in PROMISES.items()}


def payload(manifest: Mapping[ExecutorClass, int]) -> str:
    """The manifest in its short form: class letters with their counts, sorted."""
    return ";".join(sorted(f"{PROMISES[kind].code}{count}" for kind, count in manifest.items()))


def committed(present: str, manifest: Mapping[ExecutorClass, int]) -> str:
    """The commitment `present` with its manifest replaced; other content stays in front.

    Raises `ConfigurationError` when it does not fit.
    """
    text = f"{_ENVELOPE.sub('', present)}<M:{payload(manifest)}>"
    if len(text.encode()) > MAX_BYTES:
        raise ConfigurationError(
            f"the chain keeps {MAX_BYTES} bytes per hotkey; no room for {text!r}"
        )
    return text


def read(commitment: str) -> dict[ExecutorClass, int] | None:
    """The manifest in a commitment, or None; unreadable parts are skipped."""
    envelope = _ENVELOPE.search(commitment)
    if envelope is None:
        return None
    parts = (part for part in envelope[1].split(";") if part[:1] in _CLASSES)
    return {_CLASSES[part[0]]: int(part[1:]) for part in parts if _COUNT.fullmatch(part[1:])}
