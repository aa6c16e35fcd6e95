"""The ports and secrets of a network."""

import socket
import stat

from localnet.network_dir import NetworkDir, free_port, is_free


def test_a_port_is_chosen_once(tmp_path):
    first = NetworkDir.at(tmp_path).port("miner")
    assert NetworkDir.at(tmp_path).port("miner") == first
    assert NetworkDir.at(tmp_path).port("chain") != first


def test_a_secret_is_chosen_once_and_only_its_owner_may_read_it(tmp_path):
    first = NetworkDir.at(tmp_path).secret("admin")
    assert NetworkDir.at(tmp_path).secret("admin") == first
    assert len(first) >= 32
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600


def test_a_port_in_use_is_chosen_again(tmp_path):
    network_dir = NetworkDir.at(tmp_path)
    port = network_dir.port("miner")
    network_dir.port("chain")
    with socket.create_server(("127.0.0.1", port)):
        assert not is_free(port)
        assert network_dir.release_busy_ports() == ["miner"]
        assert network_dir.port("miner") != port
    assert network_dir.release_busy_ports() == []


def test_a_free_port_is_below_the_ephemeral_ones():
    port = free_port()
    assert is_free(port)
    assert port < 32768
