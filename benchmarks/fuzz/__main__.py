"""Fuzz a new local network: `python -m benchmarks.fuzz --minutes 60`.

Every HTTP server and websocket gets random, mutated and oversized input while ordinary jobs run.
The exit code is 1 when a process ended, an event loop was blocked for longer than allowed, memory
grew beyond its budget, or a kind of attack required in every run was never made.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import re
import secrets
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bittensor_core import Keypair

from benchmarks import processes
from benchmarks.fuzz import requests, validity
from benchmarks.fuzz.http_attacks import HttpAttacker, HttpTarget
from benchmarks.fuzz.measurements import Report, measure
from benchmarks.fuzz.mutations import Mutator
from benchmarks.fuzz.pace import Pace
from benchmarks.fuzz.socket_attacks import (
    InjectingProxy,
    Login,
    SocketAttacker,
    executor_path,
    no_login,
    validator_at_facilitator,
    validator_at_miner,
)
from compute_horde_sdk.v1 import ComputeHordeError, ComputeHordeJobSpec, ExecutorClass
from localnet import network_lifecycle
from localnet.identities import ensure_identity
from localnet.network_dir import NetworkDir
from localnet.supervisor import state_file

MIB = 2**20
LONGEST_STALL_SECONDS = 0.25
# Memory above that of an idle process, for bodies and frames held at once (docs/security.md).
BUDGETS = {
    "facilitator": 384 * MIB,
    "miner": 384 * MIB,
    "validator-web": 256 * MIB,
    "validator-listen": 384 * MIB,
}
MEASURED = tuple(BUDGETS)
Attacker = HttpAttacker | SocketAttacker
ADDRESS = re.compile("0x[0-9a-f]+")
JOB_EVERY_SECONDS = 5.0
JOB_SECONDS = 60
START_SECONDS = 600
REPORT_EVERY_SECONDS = 60


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long to attack")
    parser.add_argument("--rate", type=float, default=60.0, help="attacks per second, all together")
    parser.add_argument("--seed", type=int, help="repeats the same choices (default: random)")
    parser.add_argument("--home", type=Path, help="keep the network's files and logs here")
    return parser.parse_args()


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys of the attackers: an allowed validator, an allowed user, and an unknown key.

    The user is not the one whose ordinary jobs run meanwhile: after a request bound to its
    validator a user may not send unbound ones, which the attackers do.
    """

    validator: Keypair
    user: Keypair
    stranger: Keypair

    @classmethod
    def new(cls) -> "Keys":
        """New random keys."""
        return cls(*(Keypair.create_from_mnemonic(Keypair.generate_mnemonic()) for _ in range(3)))


def settings(home: NetworkDir, keys: Keys) -> dict[str, dict[str, str]]:
    """Settings that route the network through the proxies and allow the attackers' keys."""
    users = f"{ensure_identity(home, 'user').hotkey},{keys.user.ss58_address}"
    validators = f"{ensure_identity(home, 'validator').hotkey},{keys.validator.ss58_address}"
    return {
        "facilitator": {"VALIDATORS": validators, "ALLOWED_HOTKEYS": users},
        "validator": {
            "FACILITATOR_URL": f"ws://127.0.0.1:{home.port('fuzz-facilitator')}/ws/v0/",
            "ALLOWED_SIGNERS": users,
        },
        "miner": {
            "VALIDATORS": keys.validator.ss58_address,
            "EXTERNAL_PORT": str(home.port("fuzz-miner")),
            "EXECUTOR_MINER_ADDRESS": f"ws://127.0.0.1:{home.port('fuzz-executors')}",
        },
    }


@asynccontextmanager
async def network(home: NetworkDir, proxies: list[InjectingProxy]) -> AsyncIterator[None]:
    """A running network behind the proxies."""
    async with AsyncExitStack() as stack:
        for proxy in proxies:
            await stack.enter_async_context(proxy.running())
        await asyncio.to_thread(network_lifecycle.up, home, miners=1, only=[], on_progress=print)
        try:
            yield
        finally:
            await asyncio.to_thread(network_lifecycle.down, home)


async def jobs(home: NetworkDir, pace: Pace) -> Counter[str]:
    """Run ordinary jobs during the attack; returns the number of jobs by final status."""
    ends: Counter[str] = Counter()
    spec = ComputeHordeJobSpec(
        executor_class=ExecutorClass.always_on__test,
        job_namespace="SN12.fuzz",
        docker_image="computehorde/noop",
        download_time_limit_sec=10,
        execution_time_limit_sec=30,
        upload_time_limit_sec=10,
    )
    client = processes.client(home)
    while not pace.is_over():
        try:
            job = await client.create_job(spec)
            await job.wait(timeout=JOB_SECONDS)
            ends[job.status.value] += 1
        except (ComputeHordeError, TimeoutError) as error:
            ends[type(error).__name__] += 1
        await asyncio.sleep(JOB_EVERY_SECONDS)
    await client.aclose()
    return ends


async def report_progress(pace: Pace) -> None:
    """Print the number of attacks and the time left, once a minute."""
    loop = asyncio.get_running_loop()
    while not pace.is_over():
        await asyncio.sleep(min(REPORT_EVERY_SECONDS, pace.deadline - loop.time()))
        left = max(pace.deadline - loop.time(), 0) / 60
        print(f"{sum(pace.counts.values())} attacks, {left:.0f} minutes left", flush=True)


def tracebacks(home: NetworkDir) -> list[str]:
    """Unexpected exceptions: the last line of each traceback in the logs, with count and log."""
    found: Counter[str] = Counter()
    for path in sorted(home.logs.glob("*.log")):
        lines = iter(path.read_text(errors="replace").splitlines())
        for line in lines:
            if line.strip() == "Traceback (most recent call last):":
                last = next(
                    (one for one in lines if one and not one.startswith((" ", "+", "|"))), ""
                )
                found[f"{path.stem}: {ADDRESS.sub('0x', last)[:200]}"] += 1
    return [f"{count} times {what}" for what, count in found.most_common()]


def pids(home: NetworkDir) -> dict[str, int]:
    """Process ids of the measured processes, by name."""
    return {one.name: one.pid for one in state_file.read(home) if one.name in MEASURED and one.pid}


def http_targets(env: dict[str, str], user: requests.User) -> list[HttpTarget]:
    """All HTTP servers: the public ones and those for operators."""
    facilitator = env["FACILITATOR_URL"]
    return [
        HttpTarget("facilitator", facilitator, user.job_request),
        HttpTarget("facilitator", facilitator, user.other_request),
        HttpTarget("miner", _miner(env), requests.plain),
        HttpTarget("miner admin", env["MINER_ADMIN_URL"].removesuffix("/admin/"), requests.plain),
        HttpTarget(
            "validator-web", env["VALIDATOR_ADMIN_URL"].removesuffix("/admin/"), requests.plain
        ),
    ]


def sockets(env: dict[str, str], keys: Keys, seeds: Iterator[int], pace: Pace) -> list[Attacker]:
    """Attackers of every public websocket."""
    at_facilitator = env["FACILITATOR_URL"].replace("http", "ws", 1) + "/ws/v0/"
    at_miner = _miner(env).replace("http", "ws", 1)

    def attacker(name: str, url: Callable[[], str], login: Login) -> Attacker:
        return SocketAttacker(name, url, login, Mutator(next(seeds)), pace)

    def interface(key: Keypair) -> Callable[[], str]:
        return lambda: f"{at_miner}/v0.1/validator_interface/{key.ss58_address}"

    attackers = [attacker("executor socket", lambda: at_miner + executor_path(), no_login)]
    for key in (keys.stranger, keys.validator):
        login = validator_at_facilitator(key)
        attackers.append(attacker("facilitator socket", lambda: at_facilitator, login))
        login = validator_at_miner(key, env["MINER_HOTKEY"])
        attackers.append(attacker("miner socket", interface(key), login))
    return attackers


def _miner(env: dict[str, str]) -> str:
    return f"http://{env['MINER_ADDRESS']}:{env['MINER_PORT']}"


async def attack(
    home: NetworkDir, keys: Keys, proxies: list[InjectingProxy], seed: int, pace: Pace
) -> Counter[str]:
    """Run all attackers and the ordinary jobs until the deadline; returns the jobs' statuses."""
    env = processes.settings(home)
    user = await requests.User.log_in(keys.user, env)
    seeds = iter(range(seed, seed + 1000))
    attackers: list[Attacker] = [
        HttpAttacker(target, Mutator(next(seeds)), pace)
        for target in http_targets(env, user)
        for _ in "ab"
    ]
    attackers += sockets(env, keys, seeds, pace)
    for proxy in proxies:
        proxy.is_attacking = True
    async with asyncio.TaskGroup() as group:
        for attacker in attackers:
            group.create_task(attacker.run())
        working = group.create_task(jobs(home, pace))
        group.create_task(report_progress(pace))
    return working.result()


def verdict(report: Report, proxies: dict[str, InjectingProxy], ended: set[str]) -> list[str]:
    """Print all measurements and return the problems found."""
    problems = [f"{name} ended" for name in sorted(ended)]
    for name, memory in report.memory.items():
        grown = memory.highest - memory.at_start
        print(
            f"  {name:18} {memory.at_start / MIB:7.1f} MiB at first, {memory.highest / MIB:7.1f}"
            f" at most, {memory.last / MIB:7.1f} at the end (budget +{BUDGETS[name] / MIB:.0f})"
        )
        if grown > BUDGETS[name]:
            problems.append(f"{name} grew by {grown / MIB:.0f} MiB")
    for name, stalls in report.stalls.items():
        print(
            f"  {name:18} {stalls.probes} probes, slowest {stalls.slowest * 1000:.0f} ms, of which"
            f" {stalls.slowest_own * 1000:.0f} ms its own; {stalls.refused} refused"
        )
        if stalls.slowest_own > LONGEST_STALL_SECONDS:
            problems.append(f"{name} was blocked for {stalls.slowest_own * 1000:.0f} ms")
    for name, proxy in proxies.items():
        print(f"  {name:18} slowest pong {proxy.slowest_pong_seconds * 1000:.0f} ms")
    return problems


async def run(home: NetworkDir, minutes: float, rate: float, seed: int) -> list[str]:
    """Attack a new network; returns the problems found."""
    loop = asyncio.get_running_loop()
    keys = Keys.new()
    (home.path / "settings.json").write_text(json.dumps(settings(home, keys)))
    pace = Pace(rate, loop.time() + minutes * 60 + START_SECONDS)
    targets = {
        "validator-listen": ("fuzz-facilitator", "facilitator", 1.0),
        "validator to miner": ("fuzz-miner", "miner", 0.5),
        "executors": ("fuzz-executors", "miner", 0.2),
    }
    proxies = {
        name: InjectingProxy(
            name,
            f"ws://127.0.0.1:{home.port(server)}",
            home.port(port),
            Mutator(seed + 500 + number),
            Pace(rate / 20, pace.deadline, pace.counts),
            share=share,
        )
        for number, (name, (port, server, share)) in enumerate(targets.items())
    }
    async with network(home, list(proxies.values())):
        before = pids(home)
        ours, theirs = multiprocessing.Pipe()
        urls = {name: f"http://127.0.0.1:{home.port(name)}" for name in before if name in PROBED}
        seconds = minutes * 60
        measuring = multiprocessing.get_context("spawn").Process(
            target=measure, args=(before, urls, theirs, seconds + 120), daemon=True
        )
        measuring.start()
        with contextlib.suppress(OSError):
            os.nice(10)
        pace.deadline = loop.time() + seconds
        ends = await attack(home, keys, list(proxies.values()), seed, pace)
        ours.send(None)
        report = await asyncio.to_thread(ours.recv)
        after = pids(home)
        exceptions = tracebacks(home)
    print(f"\n{sum(pace.counts.values())} attacks, seed {seed}")
    for what, count in sorted(pace.counts.items()):
        print(f"  {what:40} {count}")
    for what, count in sorted(pace.answers.items()):
        print(f"  {what:40} {count}")
    print(f"jobs meanwhile: {dict(ends)}")
    ended = {name for name, pid in before.items() if after.get(name) != pid}
    return [*verdict(report, proxies, ended), *validity.problems(pace, ends), *exceptions]


PROBED = ("facilitator", "miner", "validator-web")


def main() -> int:
    """Run the fuzzer; returns the exit code."""
    options = arguments()
    seed = options.seed if options.seed is not None else secrets.randbelow(2**31)
    print(f"seed {seed}")
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        Path(folder).chmod(0o755)
        home = NetworkDir.at(options.home or Path(folder))
        problems = asyncio.run(run(home, options.minutes, options.rate, seed))
    for problem in problems:
        print(f"PROBLEM: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
