"""The chain, opened for one errand: no connection outlives a task or a fork."""

from collections.abc import Iterator
from contextlib import contextmanager

from compute_horde.adapters.chain_port import Chain
from validator.config import config


@contextmanager
def opened() -> Iterator[Chain]:
    """A connection that may read, and write in our name."""
    # Imported late: its SDK costs a second and 60 MB, which beat and master do not need.
    from compute_horde.adapters.chain import connect

    with connect(config.chain_url, config.netuid, config.hotkey) as chain:
        yield chain
