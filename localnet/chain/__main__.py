"""Run a local chain: `python -m localnet.chain --port 9944 --block-seconds 1 --state FILE`."""

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

from compute_horde.errors import ConfigurationError
from localnet.chain.blocks import Blocks
from localnet.chain.journal import Journal
from localnet.chain.node import Node
from localnet.chain.pallets import DEFAULT_TEMPO
from localnet.chain.runtime import LocalRuntime
from localnet.chain.server import Server

# What clients are told the time between blocks is, where blocks are made on demand.
ON_DEMAND_SLOT_MILLISECONDS = 1000
KEPT_BLOCKS = 10_000

log = logging.getLogger("localnet.chain")


class Facts(logging.Formatter):
    """An event and its facts on one line."""

    usual = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}

    def format(self, record: logging.LogRecord) -> str:
        """The line, with what `extra` brought behind it."""
        facts = {name: value for name, value in vars(record).items() if name not in self.usual}
        return super().format(record) + "".join(f" {name}={facts[name]}" for name in facts)


def options(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m localnet.chain", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9944, help="0 takes a free one")
    parser.add_argument(
        "--block-seconds",
        type=float,
        default=12.0,
        help="0: a block when an extrinsic arrives or the operator asks for one",
    )
    parser.add_argument("--state", type=Path, help="file that keeps the chain over restarts")
    parser.add_argument("--netuid", type=int, default=12)
    parser.add_argument("--tempo", type=int, default=DEFAULT_TEMPO, help="of a new chain")
    parser.add_argument("--kept-blocks", type=int, default=KEPT_BLOCKS, help="history to keep")
    return parser.parse_args(arguments)


async def run(chosen: argparse.Namespace) -> None:
    """Serve the chain until a signal asks to stop."""
    slot = int(chosen.block_seconds * 1000) or ON_DEMAND_SLOT_MILLISECONDS
    runtime = LocalRuntime(slot)
    journal = Journal(chosen.state, runtime.genesis_hash, chosen.netuid)
    server = Server(chosen.block_seconds)
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    try:
        blocks = Blocks(runtime, journal, chosen.kept_blocks)
        node = Node(blocks, server, netuid=chosen.netuid, tempo=chosen.tempo)
        await server.run(node, chosen.host, chosen.port, stop)
    finally:
        journal.close()


def main() -> int:
    """Run, or say in one line why that cannot be."""
    chosen = options(sys.argv[1:])
    handler = logging.StreamHandler()
    handler.setFormatter(Facts("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("websockets").setLevel(logging.WARNING)
    try:
        asyncio.run(run(chosen))
    except (ConfigurationError, OSError) as exc:
        log.error("chain cannot run", extra={"problem": str(exc)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
