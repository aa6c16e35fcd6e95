"""Servers for tests: there while they are used, and gone afterwards."""

import socket

import psycopg
import pytest

from localnet import postgres
from localnet.network_dir import NetworkDir
from localnet.supervisor import state_file
from localnet.testing import running, settings_env
from tests.eventually import eventually_true


def is_listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_named_processes_run_in_a_folder_of_their_own_which_is_removed():
    with running(["valkey"]) as network_dir:
        port = network_dir.port("valkey")
        assert is_listening(port)
        assert [one.name for one in state_file.read(network_dir)] == ["valkey"]
    assert not is_listening(port)
    assert not network_dir.path.exists()


def test_a_given_folder_is_kept_and_a_failed_test_stops_the_servers(tmp_path):
    with (
        pytest.raises(ZeroDivisionError),
        running(["valkey"], path=tmp_path / "here") as network_dir,
    ):
        raise ZeroDivisionError
    assert network_dir.path == tmp_path / "here"
    assert network_dir.log("valkey").exists()
    assert state_file.supervisor(network_dir) is None
    assert not is_listening(network_dir.port("valkey"))


def test_only_a_database_that_is_removed_afterwards_does_without_fsync():
    def shown():
        with psycopg.connect(postgres.url(network_dir, "postgres")) as database:
            return database.execute("SELECT current_setting('fsync')").fetchone()[0]

    with running(["postgres"]) as network_dir:
        eventually_true(lambda: shown() == "off")


def test_settings_are_those_of_services_with_this_network_s_addresses(tmp_path):
    network_dir = NetworkDir.at(tmp_path)
    settings = settings_env(network_dir)
    prefixes = ("FACILITATOR_", "VALIDATOR_", "MINER_", "EXECUTOR_")
    assert all(name.startswith(prefixes) for name in settings)
    assert f":{network_dir.port('valkey')}" in settings["VALIDATOR_REDIS_URL"]
    for service in ("FACILITATOR", "VALIDATOR", "MINER"):
        assert settings[f"{service}_DATABASE_URL"].endswith(service.lower())
