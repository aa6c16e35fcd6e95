"""What a home keeps."""

import socket
import stat

from localnet.home import Home, free_port, is_free


def test_a_port_is_chosen_once(tmp_path):
    first = Home.at(tmp_path).port("miner")
    assert Home.at(tmp_path).port("miner") == first
    assert Home.at(tmp_path).port("chain") != first


def test_a_secret_is_chosen_once_and_only_its_owner_may_read_it(tmp_path):
    first = Home.at(tmp_path).secret("admin")
    assert Home.at(tmp_path).secret("admin") == first
    assert len(first) >= 32
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600


def test_a_port_that_somebody_took_is_chosen_again(tmp_path):
    home = Home.at(tmp_path)
    port = home.port("miner")
    home.port("chain")
    with socket.create_server(("127.0.0.1", port)):
        assert not is_free(port)
        assert home.release_busy_ports() == ["miner"]
        assert home.port("miner") != port
    assert home.release_busy_ports() == []


def test_a_free_port_is_none_that_was_promised():
    port = free_port()
    assert is_free(port)
    assert port < 32768
