"""Whether a run of the fuzzer attacked everything that it must attack."""

from collections import Counter

from benchmarks.fuzz.http_attacks import CONNECTION_REFUSED, SERVER_ERROR
from benchmarks.fuzz.pace import Pace

# A run is only valid if each of these was done at least once.
ATTACKS = (
    "executor socket: frame",
    "facilitator socket: frame",
    "miner socket: frame",
    "executors: to the client",
    "executors: to the server",
    "validator to miner: to the client",
    "validator to miner: to the server",
    "validator-listen: to the client",
    "validator-listen: to the server",
)
ANSWERS = tuple(
    f"{name}: answered 2xx" for name in ("facilitator", "miner", "miner admin", "validator-web")
)


def problems(pace: Pace, jobs_ended: Counter[str]) -> list[str]:
    """Attacks that were never made, answers that never came, and answers that may not come."""
    missing = [f"no attack was made: {what}" for what in ATTACKS if not pace.counts[what]]
    missing += [f"never happened: {what}" for what in ANSWERS if not pace.answers[what]]
    missing += [what for what in pace.answers if what.endswith((CONNECTION_REFUSED, SERVER_ERROR))]
    return missing if jobs_ended["completed"] else [*missing, "no job completed meanwhile"]
