"""The table of processes."""

from dataclasses import replace

import pytest

from compute_horde import configuration
from localnet import trusted_miner
from localnet.network_dir import NetworkDir
from localnet.process_table import Network, UnknownProcessError, env_lines, processes, service_env
from miner.config import Config as MinerConfig

EXPECTED = {
    *("FACILITATOR_URL", "CHAIN_URL", "NETUID", "VALIDATOR_HOTKEY", "MINER_HOTKEY"),
    *("MINER_ADDRESS", "MINER_PORT", "USER_HOTKEY_FILE", "VALIDATOR_HOTKEY_FILE", "REDIS_URL"),
    *("FACILITATOR_DATABASE_URL", "VALIDATOR_DATABASE_URL", "MINER_DATABASE_URL"),
    *("FACILITATOR_ADMIN_URL", "VALIDATOR_ADMIN_URL", "MINER_ADMIN_URL"),
    *("FACILITATOR_ADMIN_USER", "VALIDATOR_ADMIN_USER", "MINER_ADMIN_USER"),
    *("FACILITATOR_ADMIN_PASSWORD", "VALIDATOR_ADMIN_PASSWORD", "MINER_ADMIN_PASSWORD"),
}


@pytest.fixture
def network(tmp_path):
    return Network(NetworkDir.at(tmp_path))


def names(table):
    return [process.name for process in table]


def test_every_dependency_is_in_the_table(network):
    table = processes(network)
    assert len(set(names(table))) == len(table)
    for process in table:
        assert set(process.depends_on) <= set(names(table)), process.name


def test_dependencies_have_no_cycle(network):
    waiting = {process.name: set(process.depends_on) for process in processes(network)}
    while waiting:
        able = {name for name, needs in waiting.items() if not needs & waiting.keys()}
        assert able, f"a cycle among {sorted(waiting)}"
        waiting = {name: needs for name, needs in waiting.items() if name not in able}


def test_a_named_process_comes_with_its_dependencies_and_nothing_else(network):
    assert names(processes(network, ["facilitator"])) == [
        "postgres",
        "facilitator-seed",
        "facilitator",
    ]


def test_a_network_has_a_trusted_miner_when_that_is_wanted(network):
    assert trusted_miner.NAME not in names(processes(network))
    with_one = replace(network, has_trusted_miner=True)
    added = {*names(processes(with_one))} - {*names(processes(network))}
    assert added == {"miner-trusted-seed", "miner-trusted"}
    assert with_one.miner_names == network.miner_names


def test_a_trusted_miner_and_its_validator_know_each_other(network, monkeypatch):
    with_one = replace(network, has_trusted_miner=True)
    validator, miner = (service_env(with_one, name) for name in ("validator", trusted_miner.NAME))
    assert validator["VALIDATOR_TRUSTED_MINER_PORT"] == miner["MINER_PORT"]
    assert miner["MINER_VALIDATORS"] == network.identity("validator").hotkey
    assert (miner["MINER_TRUSTED"], miner["MINER_SERVING"]) == ("true", "false")
    assert miner["MINER_DATABASE_URL"].endswith("/miner_trusted")
    assert "MINER_TRUSTED" not in service_env(with_one, "miner")
    assert "VALIDATOR_TRUSTED_MINER_PORT" not in service_env(network, "validator")
    for name, value in miner.items():
        monkeypatch.setenv(name, value)
    assert configuration.unknown(MinerConfig) == []


def test_a_miner_is_given_only_settings_that_it_has(network, monkeypatch):
    for name, value in service_env(network, "miner").items():
        monkeypatch.setenv(name, value)
    assert configuration.unknown(MinerConfig) == []


def test_an_unknown_name_is_refused_with_the_known_names(network):
    with pytest.raises(UnknownProcessError, match="valkey"):
        processes(network, ["redis"])


def test_the_env_file_has_all_that_a_client_needs(network):
    lines = env_lines(network)
    assert set(lines) >= EXPECTED
    assert all(lines.values())


def test_a_service_gets_no_settings_of_others(network, monkeypatch):
    monkeypatch.setenv("VALIDATOR_SECRET_KEY", "of another service")
    env = service_env(network, "miner")
    assert env["MINER_NETUID"] == "12"
    assert env["MINER_DATABASE_URL"].endswith("/miner")
    assert env["MINER_HOTKEY_FILE"] == str(network.identity("miner").hotkey_file)
    assert "VALIDATOR_SECRET_KEY" not in env
    assert "FACILITATOR_ADMIN_PASSWORD" not in env


def test_jobs_may_reach_servers_on_this_machine(network):
    assert service_env(network, "miner")["EXECUTOR_ALLOW_PRIVATE_URLS"] == "true"
    assert service_env(network, "miner")["EXECUTOR_LOCAL_IMAGES"] == "computehorde/*"


def test_each_further_miner_has_its_own_key_port_and_database(tmp_path):
    network = Network(NetworkDir.at(tmp_path), miners=2)
    first, second = service_env(network, "miner"), service_env(network, "miner-2")
    for name in ("MINER_HOTKEY_FILE", "MINER_PORT", "MINER_DATABASE_URL", "MINER_WORK_DIR"):
        assert first[name] != second[name]
    assert {"miner-2", "miner-2-keep", "miner-2-seed"} <= set(names(processes(network)))
    assert second["MINER_DATABASE_URL"].endswith("/miner_2")


def test_the_settings_file_overrides_the_table(tmp_path):
    network_dir = NetworkDir.at(tmp_path)
    (tmp_path / "settings.json").write_text(
        '{"miner-2": {"EXECUTORS": "{}"}, "chain": {"TEMPO": 9},'
        ' "supervisor": {"RESTART_WITHIN_SECONDS": 0.5}}'
    )
    network = Network(network_dir, miners=2)
    assert service_env(network, "miner-2")["MINER_EXECUTORS"] == "{}"
    assert service_env(network, "miner")["MINER_EXECUTORS"] != "{}"
    chain = next(one for one in processes(network) if one.name == "chain")
    assert chain.command[list(chain.command).index("--tempo") + 1] == "9"
    assert {one.restart_within_seconds for one in processes(network)} == {0.5}
