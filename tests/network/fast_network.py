"""A network without a clock: its chain stands still until the test has seen what it waits for.

Two validators, with workers, receipts and databases of their own, and a real miner, whose executors
run no containers. Instead of beat, the test sends the periodic tasks: cycles are as short as the
work in them.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from celery import Celery
from psycopg import sql

from compute_horde.adapters.chain import BittensorChain, connect
from compute_horde.cycles import CYCLES_PER_DAY, Cycle, cycle_at, peak_cycle
from localnet import postgres, testing
from localnet.chain.admin import Admin, administer
from localnet.identities import LocalIdentity
from localnet.network_dir import NetworkDir
from localnet.process_table import NETUID, ROOT, Network, service_env

TEMPO = 11
STAKE = 10_000 * 10**9
TEST, CPU = "always_on.test", "always_on.cpu.8c.16gb"
VALIDATOR: dict[str, str] = {
    "REFRESH_SECONDS": "60",
    "MANIFEST_SECONDS": "300",
    "MANIFEST_CHANGE_SECONDS": "0",
    "LEEWAY_SECONDS": "1",
    "STARTUP_SECONDS": "0",
    "QUEUE_SECONDS": "10",
    "NEW_MINER_TIME_FACTOR": "1",
    "BATCH_SET_STAKE_TAO": "1000",
    "EXCUSE_MIN_STAKE_TAO": "1000",
    "CLASS_WEIGHTS": json.dumps({TEST: 2, CPU: 1}),
    "BATCH_KINDS": json.dumps(
        {
            TEST: [{"kind": "hash", "parameters": {"version": 2, "seconds": 10}}],
            CPU: [{"kind": "hash", "parameters": {"seconds": 1}}],
        }
    ),
}
REFRESH, POLL = "network.tasks.refresh_metagraph", "network.tasks.poll_manifests"
PLAN, RUN = "synthetic.tasks.plan_batch", "synthetic.tasks.run_due_batch"
PUBLISH = "weights.tasks.publish_weights"
QUEUES = {REFRESH: "chain", PLAN: "chain", PUBLISH: "chain", POLL: "default", RUN: "jobs"}
# When a task is sent again that did not bring about what is waited for.
AGAIN_SECONDS = 3.0
LOOK_SECONDS = 0.03
MINER = {
    "EXECUTORS": json.dumps({TEST: 2}),
    "EXECUTOR_MANAGER": "tests.network.in_process:InProcessManager",
}


@dataclass(frozen=True)
class FastValidator:
    """A validator: its key, the environment of its processes, and its database."""

    identity: LocalIdentity
    env: Mapping[str, str]
    database: "psycopg.Connection[tuple[Any, ...]]"
    tasks: "Celery[Any]"

    @property
    def hotkey(self) -> str:
        return self.identity.hotkey

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """What `query` finds in its database."""
        return self.database.execute(query, values).fetchall()

    def send(self, task: str) -> None:
        """Have its worker run a periodic task now."""
        self.tasks.send_task(f"validator.{task}", queue=QUEUES[task])

    async def command(self, *words: str, text: str = "") -> str:
        """What a command of this validator prints."""
        return await printed(self.env, "-m", "validator", *words, text=text)


@dataclass
class FastNetwork:
    """The network; `processes` are those of the services by name."""

    home: NetworkDir
    admin: Admin
    chain: BittensorChain
    validators: tuple[FastValidator, ...]
    miner: LocalIdentity
    tempo: int = TEMPO
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def advance_to(self, block: int) -> None:
        """Let the chain produce blocks up to this one."""
        if (missing := block - self.admin.head()) > 0:
            self.admin.advance(missing)

    def upgrade(self, kind: str) -> int:
        """Upgrade the chain's runtime, in a block before the newest; the new version."""
        version = self.admin.upgrade_runtime(kind)
        self.admin.advance()
        return version

    def next_cycle(self) -> Cycle:
        """The cycle after the present one."""
        present = cycle_at(self.admin.head(), netuid=NETUID, tempo=self.tempo)
        return cycle_at(present.stop, netuid=NETUID, tempo=self.tempo)

    async def meet(self, miners: int) -> None:
        """Both validators have manifests of so many miners."""
        await self.read_chain()
        known = "SELECT 1 FROM network_manifest HAVING count(DISTINCT hotkey) = %s"
        await self.each(POLL, lambda one: one.rows(known, miners), "manifests of all miners")

    async def pass_cycle(self, cycle: Cycle) -> None:
        """One cycle: each validator's batch in its slot, and its weights for the one before."""
        await self.begin_cycle(cycle)
        await self.run_batches(cycle)
        await self.set_weights(cycle)

    async def begin_cycle(self, cycle: Cycle) -> None:
        """Both validators know of the cycle and of its manifests, and have planned their batch."""
        self.advance_to(cycle.start)
        await self.read_chain()
        polled = (
            "SELECT 1 FROM network_observedblocks WHERE stream = 'manifests' AND last_block >= %s"
        )
        await self.each(POLL, lambda one: one.rows(polled, cycle.start), "polled manifests")
        planned = "SELECT 1 FROM synthetic_batch WHERE cycle_start = %s AND slot_block IS NOT NULL"
        await self.each(PLAN, lambda one: one.rows(planned, cycle.start), "planned batches")

    async def run_batches(self, cycle: Cycle) -> None:
        """Each validator's batch begins in its slot."""
        # They last into the next cycle, until the slow miner is too late.
        done = "SELECT count(*) FROM synthetic_batch WHERE state = 'running'"
        await self.each("", lambda one: one.rows(done) == [(0,)], "the end of earlier batches")
        slot = "SELECT slot_block FROM synthetic_batch WHERE cycle_start = %s"
        begun = "SELECT 1 FROM synthetic_batch WHERE cycle_start = %s AND state <> 'planned'"
        slots = [(one.rows(slot, cycle.start)[0][0], one) for one in self.validators]
        for block, validator in sorted(slots, key=lambda pair: pair[0]):
            self.advance_to(block)
            await self.read_chain()
            await self.each(
                RUN, lambda one: one.rows(begun, cycle.start), "begun batches", (validator,)
            )

    async def set_weights(self, cycle: Cycle) -> None:
        """The chain has each validator's weights, which are read back."""
        self.advance_to(cycle.start + (cycle.stop - cycle.start) // 2)
        await self.read_chain()
        ended = "SELECT 1 FROM weights_weightsset WHERE cycle_start = %s AND state <> 'trying'"
        await self.each(PUBLISH, lambda one: one.rows(ended, cycle.start), "accepted weights")
        # What was accepted is read back in a later block.
        self.advance_to(self.admin.head() + 1)
        await self.read_chain()
        landed = f"{ended} AND (state <> 'published' OR landing <> 'open')"
        await self.each(PUBLISH, lambda one: one.rows(landed, cycle.start), "weights read back")

    async def read_chain(self) -> None:
        """Both validators have read the newest block."""
        head = self.admin.head()
        read = "SELECT 1 FROM network_snapshot WHERE block >= %s"
        await self.each(REFRESH, lambda one: one.rows(read, head), "a read of the chain")

    async def each(
        self,
        task: str,
        claim: Callable[[FastValidator], Any],
        what: str,
        validators: Sequence[FastValidator] = (),
    ) -> None:
        """Have the workers run a task, again and again, until the claim holds of each validator."""
        left, give_up, again_at = list(validators or self.validators), time.monotonic() + 240, 0.0
        while left := [one for one in left if not claim(one)]:
            now = time.monotonic()
            assert now < give_up, f"never happened: {what}"
            if task and now >= again_at:
                again_at = now + AGAIN_SECONDS
                for validator in left:
                    validator.send(task)
            await asyncio.sleep(LOOK_SECONDS)

    async def weights(self, validator: FastValidator) -> dict[int, int]:
        """The weights of a validator by uid, read with the Bittensor SDK."""
        return await asyncio.to_thread(self._read_weights, validator.hotkey)

    def _read_weights(self, hotkey: str) -> dict[int, int]:
        neurons = self.chain.metagraph().neurons
        return self.chain.weights(next(one.uid for one in neurons if one.hotkey == hotkey))

    def register(self, keypair: Any, port: int = 0, stake: int = 0) -> int:
        """Register a neuron and announce its address; its uid."""
        uid = self.admin.add_neuron(keypair.ss58_address, keypair.ss58_address, stake)
        self.admin.fund(keypair.ss58_address, 10**12)
        if port:
            with connect(self.home_url, NETUID, keypair) as chain:
                chain.serve_axon("127.0.0.1", port)
        return uid

    @property
    def home_url(self) -> str:
        """The address of the chain."""
        return f"ws://127.0.0.1:{self.home.port('chain')}"


async def printed(env: Mapping[str, str], *words: str, text: str = "") -> str:
    """What a Python program prints, which must end well."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *words),
        env=env,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await process.communicate(text.encode())
    assert process.returncode == 0, err.decode()
    return out.decode()


@contextmanager
def running(path: Path) -> Iterator[FastNetwork]:
    """The network, with the processes of the services started; its chain is at rest."""
    home = NetworkDir.at(path)
    settings = {"chain": {"TEMPO": TEMPO, "BLOCK_SECONDS": 0}, "validator": VALIDATOR}
    (path / "settings.json").write_text(json.dumps(settings | {"miner": MINER}))
    with ExitStack() as stack:
        stack.enter_context(testing.running(("postgres", "valkey", "chain"), path=path))
        network = Network(home)
        admin = stack.enter_context(administer(network.url("chain", "ws")))
        chain = stack.enter_context(connect(network.url("chain", "ws"), NETUID))
        second = network.identity("validator-2")
        admin.add_neuron(second.hotkey, second.coldkey, STAKE)
        admin.fund(second.hotkey, 10**12)
        envs = _validator_envs(network, second)
        _create_tables(home, envs[0], service_env(network, "miner"))
        validators = []
        for env, one in zip(envs, (network.identity("validator"), second), strict=True):
            database = psycopg.connect(env["VALIDATOR_DATABASE_URL"], autocommit=True)
            tasks: Celery[Any] = Celery(broker=env["VALIDATOR_REDIS_URL"])
            validators.append(FastValidator(one, env, stack.enter_context(database), tasks))
        fast = FastNetwork(home, admin, chain, tuple(validators), network.identity("miner"))
        stack.callback(_stop, fast)
        _start_services(fast, service_env(network, "miner"))
        yield fast


def _validator_envs(network: Network, second: LocalIdentity) -> tuple[dict[str, str], ...]:
    env = service_env(network, "validator")
    other = {
        "VALIDATOR_HOTKEY_FILE": str(second.hotkey_file),
        "VALIDATOR_DATABASE_URL": network.database("validator-2"),
        "VALIDATOR_REDIS_URL": env["VALIDATOR_REDIS_URL"].removesuffix("0") + "1",
    }
    return env, env | other


def _create_tables(
    home: NetworkDir, validator: Mapping[str, str], miner: Mapping[str, str]
) -> None:
    """Create the tables once for both validators."""
    commands = (("validator", validator), ("miner", miner))
    migrations = [
        subprocess.Popen([sys.executable, "-m", name, "migrate"], env=env, cwd=ROOT)
        for name, env in commands
    ]
    assert [one.wait() for one in migrations] == [0, 0]
    copy = sql.SQL("CREATE DATABASE validator_2 TEMPLATE validator")
    with psycopg.connect(postgres.url(home, "postgres"), autocommit=True) as server:
        server.execute(copy)


def _start_services(network: FastNetwork, miner: Mapping[str, str]) -> None:
    for number, validator in enumerate(network.validators, 1):
        for name in ("worker", "receipts"):
            start(network, f"validator-{number}-{name}", validator.env, "validator", name)
    for name in ("web", "keep"):
        start(network, f"miner-{name}", miner, "miner", name)


def start(network: FastNetwork, name: str, env: Mapping[str, str], *words: str) -> None:
    """Start a process of a service; it is stopped with the network."""
    with network.home.log(name).open("ab") as log:
        network.processes[name] = subprocess.Popen(
            [sys.executable, "-m", *words], env=env, cwd=ROOT, stdout=log, stderr=log
        )


def _stop(network: FastNetwork) -> None:
    for process in network.processes.values():
        process.terminate()
    for process in network.processes.values():
        process.wait()


def cycles_with_peak(block: int, *, before: int, count: int) -> list[Cycle]:
    """`count` cycles after `block`, so that `before` of them come before the first peak cycle."""
    length = 2 * (TEMPO + 1)
    first = cycle_at(block + length, netuid=NETUID, tempo=TEMPO)
    while (
        peak_cycle(first.start, netuid=NETUID, tempo=TEMPO).number % CYCLES_PER_DAY
        != (first.number + before) % CYCLES_PER_DAY
    ):
        first = cycle_at(first.stop, netuid=NETUID, tempo=TEMPO)
    return [
        Cycle(first.start + n * length, first.stop + n * length, first.number + n)
        for n in range(count)
    ]


def clean_env() -> dict[str, str]:
    """An environment without the settings of any service."""
    services = ("VALIDATOR_", "MINER_", "FACILITATOR_", "DJANGO_")
    return {name: value for name, value in os.environ.items() if not name.startswith(services)}
