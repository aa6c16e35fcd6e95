"""Every process of every service: refused with one line, ready with one line, gone when told."""

import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from facilitator.processes import SERVICE as FACILITATOR
from localnet.process_table import processes
from miner.processes import SERVICE as MINER
from tests.starts import faults
from tests.starts.faults import Scene
from tests.starts.world import (
    READY,
    REFUSAL_SECONDS,
    START_SECONDS,
    Forwarder,
    command,
    silent_server,
    without_rights,
)
from validator.processes import SERVICE as VALIDATOR

PROCESSES = [
    (service.name, process)
    for service in (FACILITATOR, VALIDATOR, MINER)
    for process in service.processes
]


def _cases() -> Iterator[Any]:
    """Each fault of each need of each process, and wrong settings.

    Where several processes of a service are set up alike, they check a need by the same code: the
    first one meets all its faults, the others only one, which proves that they check it.
    """
    proved = set()
    for service, process in PROCESSES:
        for need in (None, *(need.name for need in process.needs)):
            known = list((faults.NEEDS[need] if need else faults.SETTINGS).items())
            check = (service, process.settings, need)
            for name, fault in known[:1] if check in proved else known:
                case = f"{service} {process.name}, {name}"
                yield pytest.param(service, process.name, name, fault, id=case)
            proved.add(check)


ALL = pytest.mark.parametrize(
    ("service", "process"), [(s, p.name) for s, p in PROCESSES], ids=lambda word: word
)
# Of these only one may be at work.
ALONE = [
    ("facilitator", "web"),
    ("miner", "web"),
    ("miner", "keep"),
    ("validator", "listen"),
    ("validator", "beat"),
    ("validator", "receipts"),
]


@pytest.mark.parametrize(("service", "process", "name", "fault"), [*_cases()])
def test_a_start_that_cannot_work_says_so_in_one_line_and_ends(
    service, process, name, fault, world, start, tmp_path
):
    scene = Scene(world, service, world.env(service, tmp_path), tmp_path)
    words = command(service, process)
    if name in faults.WITHOUT_RIGHTS:
        words = without_rights(words)
    with fault(scene) as told:
        running = start(words, scene.env)
        took = running.ends(START_SECONDS)
    assert running.process.returncode == 1, running.output
    assert len(running.lines) == 1, running.output
    assert "cannot start: " in running.output
    assert told in running.output
    assert took < REFUSAL_SECONDS
    assert not world.leaks(running.output)


def _is_ready(running, service, process, env, world):
    """Wait for the one line that a healthy process says at its start."""
    # The miner's executors, which speak through it, say that they are ready too.
    line = running.says(f"{service} {process}{READY}")
    if process == "web":
        assert f"listens='127.0.0.1:{env[f'{service.upper()}_PORT']}'" in line
    if any(need.name == "hotkey" for need in _needs(service, process)):
        assert world.network.identity(service).hotkey in line
    if (service, process) == ("miner", "web"):
        assert "executors={'always_on.test': 4}" in line


def _obeys_sigterm(running, service, process, world):
    """Stop a healthy process, and see that it said no more than it should."""
    assert running.stop() == 0, running.output
    ready = f"{service} {process}{READY}"
    assert sum(ready in one for one in running.lines) == 1, running.output
    assert "Traceback" not in running.output
    assert not world.leaks(running.output)


@pytest.mark.parametrize(
    ("service", "process"), [(s, p.name) for s, p in PROCESSES if (s, p.name) not in ALONE]
)
def test_a_healthy_start_says_what_it_is_in_one_line_and_obeys_sigterm(
    service, process, world, start, tmp_path
):
    env = world.env(service, tmp_path)
    running = start(command(service, process), env)
    _is_ready(running, service, process, env, world)
    _obeys_sigterm(running, service, process, world)


@pytest.mark.parametrize("told", [{"HOST": "0.0.0.0"}, {"ALLOWED_HOSTS": "*"}])
def test_a_facilitator_that_does_not_know_its_host_names_refuses_to_start(
    told, world, start, tmp_path
):
    env = world.env("facilitator", tmp_path)
    del env["FACILITATOR_ALLOWED_HOSTS"]
    env |= {f"FACILITATOR_{name}": value for name, value in told.items()}
    running = start(command("facilitator", "web"), env)
    running.ends(START_SECONDS)
    assert running.process.returncode == 1, running.output
    assert len(running.lines) == 1, running.output
    assert "FACILITATOR_ALLOWED_HOSTS: " in running.output


def _needs(service, process):
    return next(p.needs for s, p in PROCESSES if (s, p.name) == (service, process))


@ALL
def test_sigterm_is_obeyed_while_the_database_is_awaited(service, process, world, start, tmp_path):
    env = world.env(service, tmp_path)
    with silent_server() as (port, came):
        scene = Scene(world, service, env, tmp_path)
        scene.set("DATABASE_URL", faults.database_url(scene, port=port))
        running = start(command(service, process), env)
        assert came.wait(START_SECONDS), running.output
        assert running.stop() == 143
    assert running.output == f"{service} {process}: stopped before it was ready"


@ALL
def test_sigterm_is_obeyed_and_nothing_is_told_in_many_lines_when_the_database_hangs(
    service, process, world, start, tmp_path
):
    env = world.env(service, tmp_path)
    with Forwarder(world.home.port("postgres")) as path:
        scene = Scene(world, service, env, tmp_path)
        scene.set("DATABASE_URL", faults.database_url(scene, port=path.port))
        running = start(command(service, process), env)
        running.says(READY)
        path.hang()
        running.stop()
    assert "Traceback" not in running.output
    assert not world.leaks(running.output)


@pytest.mark.parametrize(
    ("service", "process"), [(s, p.name) for s, p in PROCESSES if p.name == "web"]
)
def test_health_says_why_it_is_bad_and_one_question_costs_one_line(
    service, process, world, start, tmp_path
):
    env = world.env(service, tmp_path)
    url = f"http://127.0.0.1:{env[f'{service.upper()}_PORT']}/health"
    with Forwarder(world.home.port("postgres")) as path:
        scene = Scene(world, service, env, tmp_path)
        scene.set("DATABASE_URL", faults.database_url(scene, port=path.port))
        running = start(command(service, process), env)
        running.says(READY)
        assert (answer := httpx.get(url, trust_env=False)).text == "ok", answer
        path.refuse()
        _wait_until_bad(url)
        answer = httpx.get(url, trust_env=False)
        assert (answer.status_code, answer.text) == (503, "the database cannot be reached")
        asked = subprocess.run(
            command(service, "health"), env=env, capture_output=True, text=True, check=False
        )
    assert (asked.returncode, asked.stdout) == (1, "the database cannot be reached\n")
    running.stop()
    assert "Traceback" not in running.output
    assert sum("health changed" in line for line in running.lines) == 1


def _wait_until_bad(url):
    """Wait until health is asked anew: it is remembered for a second."""
    while httpx.get(url, trust_env=False).status_code == 200:
        continue


@pytest.mark.parametrize(("service", "process"), ALONE)
def test_a_healthy_start_says_what_it_is_and_a_second_copy_waits_for_its_end(
    service, process, world, start, tmp_path
):
    env = world.env(service, tmp_path)
    first = start(command(service, process), env)
    _is_ready(first, service, process, env, world)
    # On a port of its own, so that only the database can tell.
    env = world.env(service, tmp_path)
    second = start(command(service, process), env)
    second.says("another process is at work")
    assert not any(READY in line for line in second.lines)
    _obeys_sigterm(first, service, process, world)
    _is_ready(second, service, process, env, world)
    third = start(command(service, process), world.env(service, tmp_path))
    third.says("another process is at work")
    assert third.stop() in (0, 143)
    _obeys_sigterm(second, service, process, world)


def test_each_process_of_the_local_network_is_in_the_table(world):
    modules = {"facilitator": FACILITATOR, "validator": VALIDATOR, "miner": MINER}
    seen = set()
    for one in processes(world.network):
        words = [str(word) for word in one.command]
        if words[1:2] == ["-m"] and (service := modules.get(words[2])):
            word = words[3] if len(words) > 3 else service.processes[0].name
            assert word in service.words
            seen.add((service.name, word))
    assert seen >= {(service, process.name) for service, process in PROCESSES}


def test_every_need_has_faults():
    needs = {need.name for _, process in PROCESSES for need in process.needs}
    assert needs == set(faults.NEEDS)
