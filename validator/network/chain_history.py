"""Reads the chain block by block of a fixed grid, and logs what changed in between."""

import logging
import time
from dataclasses import asdict
from datetime import datetime

from django.db import transaction

from compute_horde.adapters.chain_port import Chain, ChainRefused, Hyperparameters, Metagraph
from validator.network import change_log, rules
from validator.network.models import Fact, ObservedBlocks

log = logging.getLogger(__name__)

CHAIN = ObservedBlocks.Stream.CHAIN
# The rest is read after the next refresh; until then nothing is lost.
BUDGET_SECONDS = 60.0

Moment = tuple[int, datetime]


def catch_up(chain: Chain, head: Metagraph, now: datetime, earlier: Moment | None) -> None:
    """Log the final blocks of the grid that were not read yet, oldest first.

    A block that is not final may still be exchanged for another one. After a time without this
    validator at most a cycle is read. What the node no longer has remains a gap. `earlier` is the
    block and time of an earlier read of the head.
    """
    run = change_log.last_observed(CHAIN)
    newest = min(head.block, chain.finalized_head())
    blocks = rules.missing_blocks(run.last_block if run else None, newest)
    give_up = time.monotonic() + BUDGET_SECONDS
    for block in blocks[_first_readable(chain, blocks) :]:
        metagraph = head if block == head.block else chain.metagraph(block)
        record_chain(metagraph, block, rules.block_time(block, (head.block, now), earlier))
        if time.monotonic() > give_up:
            log.info("reading the chain's past goes on later", extra={"read": block})
            break


def _first_readable(chain: Chain, blocks: range) -> int:
    """The index of the first of these blocks that the node still has, by bisection."""
    low, high = 0, len(blocks) - 1
    if high <= 0 or _has(chain, blocks[0]):
        return 0
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _has(chain, blocks[middle]) else (middle + 1, high)
    log.warning(
        "the node has not the whole past: set VALIDATOR_CHAIN_URL to an archive node to fill it",
        extra={"missing_from": blocks[0], "read_from": blocks[low]},
    )
    return low


def _has(chain: Chain, block: int) -> bool:
    try:
        chain.metagraph(block)
    except ChainRefused:
        return False
    return True


def record_chain(metagraph: Metagraph, block: int, at: datetime) -> None:
    """Log neurons, addresses and stakes of one block; a block before the last one is ignored."""
    with transaction.atomic():
        change_log.lock()
        run = change_log.last_observed(CHAIN)
        if run and run.last_block >= block:
            return
        neurons = metagraph.neurons
        registered = {
            (one.hotkey, ""): {
                "uid": one.uid,
                "coldkey": one.coldkey,
                "permit": one.validator_permit,
            }
            for one in neurons
        }
        addresses = {
            (one.hotkey, ""): {"ip": one.ip, "port": one.port} for one in neurons if one.port
        }
        logged = {key[0]: rao for key, rao in change_log.present(Fact.Kind.STAKE).items()}
        stakes = {(hotkey, ""): rao for hotkey, rao in rules.stakes(neurons, logged).items()}
        change_log.record(Fact.Kind.NEURON, registered, block, at)
        change_log.record(Fact.Kind.ADDRESS, addresses, block, at)
        change_log.record(Fact.Kind.STAKE, stakes, block, at)
        is_next = run is not None and block - run.last_block <= rules.STRIDE
        change_log.mark_observed(CHAIN, block, at, run if is_next else None)


def record_hyperparameters(values: Hyperparameters, block: int, at: datetime) -> None:
    """Log the subnet's hyperparameters. Must be called under `change_log.lock`."""
    change_log.record(Fact.Kind.HYPERPARAMETERS, {("", ""): asdict(values)}, block, at)
