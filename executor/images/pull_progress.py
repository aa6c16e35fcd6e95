"""Progress of an image pull, from the engine's events about its layers."""

from typing import Any

# Statuses of a layer that is completely downloaded.
COMPLETE_STATUSES = frozenset(
    {"Download complete", "Pull complete", "Verifying Checksum", "Extracting"}
)
MAX_LAYERS = 1000


class Layers:
    """The layers that are downloaded, each with its bytes so far and in total."""

    def __init__(self) -> None:
        self._layers: dict[str, tuple[int, int]] = {}

    @property
    def done(self) -> int:
        """Bytes downloaded."""
        return sum(done for done, _ in self._layers.values())

    @property
    def total(self) -> int:
        """Bytes of all layers whose size is known so far."""
        return sum(total for _, total in self._layers.values())

    def update(self, event: Any) -> bool:
        """Apply one event of the engine; whether it changed the downloaded bytes."""
        if not isinstance(event, dict) or not isinstance(layer := event.get("id"), str):
            return False
        known = self._layers.get(layer)
        if known and event.get("status") in COMPLETE_STATUSES:
            self._layers[layer] = (known[1], known[1])
            return known[0] != known[1]
        detail = event.get("progressDetail")
        if event.get("status") != "Downloading" or not isinstance(detail, dict):
            return False
        done, total = detail.get("current"), detail.get("total")
        if not (isinstance(done, int) and isinstance(total, int) and 0 <= done <= total):
            return False
        if known is None and len(self._layers) >= MAX_LAYERS:
            return False
        self._layers[layer] = (done, total)
        return True
