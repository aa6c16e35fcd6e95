"""Runs a local chain: `python -m localnet.chain --port 9944 --block-seconds 1 --state FILE`."""

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

from compute_horde.errors import ConfigurationError
from compute_horde.log_lines import FieldFormatter
from localnet.chain.blocks import Blocks
from localnet.chain.journal import Journal
from localnet.chain.node import Node
from localnet.chain.runtime import LocalRuntime
from localnet.chain.server import ChainServer
from localnet.chain.subtensor_pallet import DEFAULT_TEMPO

# The block time in the metadata when blocks are produced on demand only.
ON_DEMAND_SLOT_MILLISECONDS = 1000
DEFAULT_KEPT_BLOCKS = 10_000

log = logging.getLogger("localnet.chain")


def parse_options(arguments: list[str]) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m localnet.chain", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9944, help="0: any free port")
    parser.add_argument(
        "--block-seconds",
        type=float,
        default=12.0,
        help="time between blocks; 0: a block for each extrinsic, or when the operator asks",
    )
    parser.add_argument(
        "--state", type=Path, help="file in which the chain is stored; without it, in memory only"
    )
    parser.add_argument("--netuid", type=int, default=12)
    parser.add_argument(
        "--tempo",
        type=int,
        default=DEFAULT_TEMPO,
        help="tempo of a new chain: blocks from one epoch to the next",
    )
    parser.add_argument(
        "--kept-blocks",
        type=int,
        default=DEFAULT_KEPT_BLOCKS,
        help="blocks whose state is kept at least",
    )
    return parser.parse_args(arguments)


async def run(options: argparse.Namespace) -> None:
    """Serve the chain until SIGTERM or SIGINT."""
    slot = int(options.block_seconds * 1000) or ON_DEMAND_SLOT_MILLISECONDS
    runtime = LocalRuntime(slot)
    journal = Journal(options.state, runtime.genesis_hash, options.netuid)
    server = ChainServer(options.block_seconds)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        blocks = Blocks(runtime, journal, options.kept_blocks)
        node = Node(blocks, server, netuid=options.netuid, tempo=options.tempo)
        await server.run(node, options.host, options.port, stop)
    finally:
        journal.close()


def main() -> int:
    """Run the chain; the exit code is 1, after one line of log, when it cannot run."""
    options = parse_options(sys.argv[1:])
    handler = logging.StreamHandler()
    handler.setFormatter(FieldFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("websockets").setLevel(logging.WARNING)
    # A readiness probe opens a connection without a handshake, which is no error.
    logging.getLogger("websockets.server").addFilter(
        lambda record: record.getMessage() != "opening handshake failed"
    )
    try:
        asyncio.run(run(options))
    except (ConfigurationError, OSError) as exc:
        log.error("chain cannot run", extra={"problem": str(exc)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
