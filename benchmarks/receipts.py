"""How many receipts one core of a validator verifies and stores: `python -m benchmarks.receipts`.

Starts PostgreSQL. Seconds are those of the processor in the process that does the work, so that
other load on the machine does not count.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any
from uuid import uuid4

MINERS = 64
VALIDATORS = 16
LINES_PER_CHUNK = 500


def main() -> None:
    """Print the costs of each step and their sum."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--receipts", type=int, default=20_000)
    receipts = parser.parse_args().receipts
    from localnet import testing

    with testing.running(("postgres", "validator-seed")) as home:
        os.environ.update(testing.settings_env(home))
        os.environ["DJANGO_SETTINGS_MODULE"] = "validator.settings_headless"
        import django

        django.setup()
        _measure(receipts)


def _measure(number: int) -> None:
    from compute_horde.receipts import Receipt
    from validator.receipts.verification import Expected, verify_lines

    # Its models need the settings of the validator, and types are checked with those of another.
    store: Any = import_module("validator.receipts.store")
    now = datetime.now(UTC)
    lines, validators, miner = _lines(number, now)
    expected = Expected(miner, validators, now, now - timedelta(days=1))

    with _timed("parse", number):
        parsed = [Receipt.model_validate_json(line) for line in lines]
    with _timed("signed bytes", number):
        for receipt in parsed:
            receipt.payload.blob()
    del parsed
    chunks = [
        b"".join(lines[first : first + LINES_PER_CHUNK])
        for first in range(0, number, LINES_PER_CHUNK)
    ]
    with _timed("verify, with both of these", number) as verifying:
        verified = [verify_lines(chunk, expected) for chunk in chunks]
    assert not any(one.problems for one in verified)
    progress = [
        store.PageProgress(store.Checkpoint(miner, "h:1", page, 1), one.receipts)
        for page, one in enumerate(verified)
    ]
    with _timed("store", number) as storing:
        for first in range(0, len(progress), 2):
            store.record(progress[first : first + 2])
    with _timed("store again, all known", number):
        for first in range(0, len(progress), 2):
            assert store.record(progress[first : first + 2]) == 0
    print(f"{'verify and store':28} {number / (verifying() + storing()):8.0f} per second and core")
    asyncio.run(_poll())


async def _poll(requests: int = 4000) -> None:
    """The cost of a request that brings nothing new, for all miners."""
    from validator.receipts.page_client import PageClient

    answer = b"HTTP/1.1 416 No\r\nContent-Range: bytes */5\r\nContent-Length: 0\r\n\r\n"
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _SERVER, repr(answer)), stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout
    port = int(await server.stdout.readline())
    clients = [PageClient("127.0.0.1", port) for _ in range(MINERS)]
    with _timed("request without news", requests):
        for _ in range(requests // MINERS):
            await asyncio.gather(*(client.fetch(5, 5, 30.0) for client in clients))
    for client in clients:
        client.close()
    server.terminate()
    await server.wait()


_SERVER = """
import ast, asyncio, sys
answer = ast.literal_eval(sys.argv[1])
async def serve(reader, writer):
    try:
        while True:
            await reader.readuntil(b"\\r\\n\\r\\n")
            writer.write(answer)
    except asyncio.IncompleteReadError:
        writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@contextmanager
def _timed(what: str, number: int) -> Iterator[Callable[[], float]]:
    began, wall = time.process_time(), time.perf_counter()
    took: list[float] = []
    yield lambda: took[0]
    took.append(time.process_time() - began)
    wall = time.perf_counter() - wall
    each = took[0] / number * 1e6
    print(f"{what:28} {each:8.1f} µs of CPU {wall / number * 1e6:8.1f} µs of time")


def _lines(number: int, now: datetime) -> tuple[list[bytes], frozenset[str], str]:
    """Lines of all four types by some validators and one miner."""
    from bittensor_core import Keypair

    from compute_horde.receipts import JobFinishedReceipt, JobStartedReceipt, Receipt
    from compute_horde.signing import signed_hex

    miner = Keypair.create_from_uri("//Miner")
    validators = [Keypair.create_from_uri(f"//Validator{n}") for n in range(VALIDATORS)]
    lines = []
    for n in range(number):
        validator = validators[n % VALIDATORS]
        common = {
            "job_uuid": str(uuid4()),
            "miner_hotkey": miner.ss58_address,
            "validator_hotkey": validator.ss58_address,
            "timestamp": now,
        }
        payload = (
            JobStartedReceipt(
                **common, executor_class="always_on.llm.a6000", is_organic=True, ttl=7
            )
            if n % 2
            else JobFinishedReceipt(
                **common, time_started=now, time_took_us=5, score_str="40.000000"
            )
        )
        blob = payload.blob()
        receipt = Receipt(
            payload=payload,
            validator_signature=signed_hex(validator, blob),
            miner_signature=signed_hex(miner, blob),
        )
        lines.append(receipt.model_dump_json().encode() + b"\n")
    return lines, frozenset(one.ss58_address for one in validators), miner.ss58_address


if __name__ == "__main__":
    main()
