"""What happens on a subnet at the start of each block, before its extrinsics."""

from localnet.chain import epochs, subnet, weight_calls
from localnet.chain.storage import Event, Storage


def block_step(storage: Storage, netuid: int) -> list[Event]:
    """Run the epoch if one is due, then reveal the due weights; the events.

    An epoch grants the validator permits anew.
    """
    has_run, events = epochs.step(storage, netuid)
    if has_run:
        subnet.grant_permits(storage, netuid)
        weight_calls.discard_expired(storage, netuid)
    return events + weight_calls.reveal_due(storage, netuid)
