"""Opens a connection to the chain for one task; none is kept across tasks or forks."""

from collections.abc import Iterator
from contextlib import contextmanager

from compute_horde.adapters.chain_port import Chain
from validator.config import config


def endpoints(chain_url: str) -> list[str]:
    """The addresses of the nodes in the setting `chain_url`; names of networks are looked up."""
    names = [one.strip() for one in chain_url.split(",") if one.strip()]
    if all("://" in one for one in names):
        return names
    from compute_horde.adapters.bittensor_sdk import bittensor

    return [
        one if "://" in one else str(bittensor.settings.resolve_endpoint(one)[1]) for one in names
    ]


@contextmanager
def opened() -> Iterator[Chain]:
    """A connection that reads the chain and signs transactions with the validator's hotkey."""
    # Imported late: its SDK takes half a second and 15 MiB, which other processes do not need.
    from compute_horde.adapters.chain import connect

    with connect(config.chain_url, config.netuid, config.hotkey) as chain:
        yield chain
