"""The limits of the web server, and its two ports."""

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from compute_horde.adapters.wallet import write_hotkey
from tests import servers
from tests.miner.conftest import MINER, STRANGER, VALIDATOR
from tests.miner.peers import CLASS
from validator.miners.connection import Address
from validator.miners.manifest_poll import poll


@pytest.mark.django_db(transaction=True)
def test_anonymous_connections_cost_little_and_are_closed_soon() -> None:
    settings = {"EXECUTORS": '{"always_on.test": 0}'}
    with servers.web_server("miner", "web", **settings) as server:
        servers.check_that_floods_cost_no_memory(server)
        servers.check_that_strangers_cause_no_tracebacks(server, b"/v0.1/executor_interface/x")
        servers.check_that_silence_is_ended(server)
    settings["MAX_CONNECTIONS_PER_ADDRESS"] = "2"
    with servers.web_server("miner", "web", **settings) as server:
        servers.check_that_one_address_cannot_take_all(server)


@pytest.mark.django_db(transaction=True)
def test_the_operators_pages_are_on_a_port_of_their_own() -> None:
    admin = servers.free_port()
    settings = {"EXECUTORS": '{"always_on.test": 0}', "ADMIN_PORT": str(admin)}
    pages = ["/admin/login/", "/admin/executors/", "/metrics", "/static/admin/css/base.css"]
    with servers.web_server("miner", "web", **settings) as server:
        public = {page: httpx.get(server.url + page, trust_env=False) for page in pages}
        assert {answer.status_code for answer in public.values()} == {404}
        base = f"http://127.0.0.1:{admin}"
        found = [httpx.get(base + page, trust_env=False).status_code for page in pages]
        assert found == [200, 302, 200, 200]
        flood = replace(server, port=admin)
        servers.check_that_floods_cost_no_memory(flood)
        servers.check_that_strangers_cause_no_tracebacks(flood)
        taken = {"MINER_ADMIN_PORT": str(admin), "MINER_PORT": str(servers.free_port())}
        second = [sys.executable, "-m", "miner", "web"]
        ended = subprocess.run(
            second, env=os.environ | taken, capture_output=True, text=True, timeout=60, check=False
        )
        assert ended.returncode
        assert "MINER_ADMIN_PORT" in ended.stderr


@pytest.mark.django_db(transaction=True)
def test_each_hotkey_answers_at_its_own_port(tmp_path: Path) -> None:
    keys = {MINER: tmp_path / "first", STRANGER: tmp_path / "other"}
    for key, path in keys.items():
        write_hotkey(path, key)
    port = servers.free_port()
    settings = {
        "HOTKEY_FILE": str(keys[MINER]),
        "OTHER_HOTKEYS": json.dumps({str(keys[STRANGER]): port}),
        "MAIN_HOTKEYS": STRANGER.ss58_address,
        "ADMIN_PORT": str(servers.free_port()),
        "VALIDATORS": VALIDATOR.ss58_address,
        "EXECUTORS": '{"always_on.test": 3}',
        "EXECUTOR_MANAGER": "tests.miner.peers:ScriptedManager",
    }
    first, other = MINER.ss58_address, STRANGER.ss58_address
    with servers.web_server("miner", "web", **settings) as server:
        addresses = [
            Address(first, "127.0.0.1", server.port),
            Address(other, "127.0.0.1", port),
        ]
        found = asyncio.run(poll(addresses, VALIDATOR, 20, [first, other]))
        swapped = [replace(addresses[0], port=port), replace(addresses[1], port=server.port)]
        assert asyncio.run(poll(swapped, VALIDATOR, 1)) == {}
    assert {hotkey: dict(one.manifest) for hotkey, one in found.items()} == {
        first: {CLASS: 2},
        other: {CLASS: 1},
    }
    assert {one.main_hotkey for one in found.values()} == {other}


def test_a_deployment_is_safe_or_says_what_is_not() -> None:
    servers.check_that_a_deployment_is_safe_or_says_what_is_not("miner", "ADMIN_HOST")
