"""Sends one transaction with weights that no block after a given one can include."""

from dataclasses import replace
from typing import Any

from bittensor_core import Keypair

from compute_horde.adapters.bittensor_sdk import bittensor
from compute_horde.adapters.chain_port import ChainRefused, ChainUnreachable

# A transaction is valid for a power of two of blocks, from the newest final one on.
SHORTEST_PERIOD = 4
LONGEST_PERIOD = 128
# So many blocks may become final between the choice of the period and the signature.
SPARE_BLOCKS = 2


def validity_period(final: int, last_block: int) -> int | None:
    """The longest period of a transaction signed now that ends by `last_block`; None: no room.

    `final` is the newest final block, where the period begins.
    """
    room = min(last_block - final + 1 - SPARE_BLOCKS, LONGEST_PERIOD)
    return None if room < SHORTEST_PERIOD else 1 << (room.bit_length() - 1)


async def send(
    client: bittensor.Client, hotkey: Keypair, intent: Any, last_block: int | None
) -> Any:
    """Sign and send; the result once the transaction is final. It is sent once.

    Raises:
        ChainRefused: it could be included after `last_block`, and nothing was sent; or a block
            included it and it had no effect.
        ChainUnreachable: it was sent, and nobody knows whether a block includes it. A node that
            lost sight of a transaction, or had it in a block that was replaced, says only that.
    """
    plan = await client.plan(intent, hotkey)
    period: int | None = LONGEST_PERIOD
    if last_block is not None:
        period = validity_period(int(await client.finalized_block()), last_block)
        if period is None:
            raise _too_late(last_block)
    unsigned = await client.prepare_call(plan.call, address=hotkey.ss58_address, period=period)
    if last_block is not None and unsigned.era["current"] + period - 1 > last_block:
        raise _too_late(last_block)
    signature = bytes(hotkey.sign(unsigned.payload))
    try:
        result = await client.submit_signature(unsigned, signature)
    except bittensor.BittensorError as exc:
        raise _unknown(exc) from exc
    if not result.success and not result.extrinsic_id:
        raise _unknown(result.message)
    result.raise_for_failure()
    return replace(result, data={**result.data, **plan.extras})


def _unknown(problem: object) -> ChainUnreachable:
    return ChainUnreachable(f"a transaction was sent and may still be included: {problem}")


def _too_late(last_block: int) -> ChainRefused:
    return ChainRefused(
        f"it is too late to sign a transaction that ends by block {last_block}; nothing was sent",
        bittensor.ErrorCode.INVALID_ARGUMENT.value,
    )
