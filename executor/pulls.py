"""How far the pull of an image is, from what the engine says of its layers."""

from typing import Any

# Said of a layer that is all here.
HERE = frozenset({"Download complete", "Pull complete", "Verifying Checksum", "Extracting"})
MAX_LAYERS = 1000


class Layers:
    """The layers that are not here yet, each with its bytes so far and of how many."""

    def __init__(self) -> None:
        self._layers: dict[str, tuple[int, int]] = {}

    @property
    def done(self) -> int:
        """Bytes that came."""
        return sum(done for done, _ in self._layers.values())

    @property
    def total(self) -> int:
        """Bytes of all layers whose size is known; more may show."""
        return sum(total for _, total in self._layers.values())

    def learn(self, news: Any) -> bool:
        """Whether this piece of news was about bytes that came."""
        if not isinstance(news, dict) or not isinstance(layer := news.get("id"), str):
            return False
        known = self._layers.get(layer)
        if known and news.get("status") in HERE:
            self._layers[layer] = (known[1], known[1])
            return known[0] != known[1]
        detail = news.get("progressDetail")
        if news.get("status") != "Downloading" or not isinstance(detail, dict):
            return False
        done, total = detail.get("current"), detail.get("total")
        if not (isinstance(done, int) and isinstance(total, int) and 0 <= done <= total):
            return False
        if known is None and len(self._layers) >= MAX_LAYERS:
            return False
        self._layers[layer] = (done, total)
        return True
