"""Opens a connection to the chain for one task; none is kept across tasks or forks."""

from collections.abc import Iterator
from contextlib import contextmanager

from compute_horde.adapters.chain_port import Chain
from validator.config import config


@contextmanager
def opened() -> Iterator[Chain]:
    """A connection that reads the chain and signs transactions with the validator's hotkey."""
    # Imported late: its SDK takes half a second and 15 MiB, which other processes do not need.
    from compute_horde.adapters.chain import connect

    with connect(config.chain_url, config.netuid, config.hotkey) as chain:
        yield chain
