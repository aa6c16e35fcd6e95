"""The file of executor servers and the ssh command that connects to them."""

import pytest

from compute_horde.errors import ConfigurationError
from compute_horde.hardware import ExecutorClass
from miner.executors import docker_servers
from miner.executors.docker_manager import DockerManager
from miner.executors.docker_servers import DockerServer
from miner.executors.manager import ManagerSettings

GOOD = """
here: {mode: local, executor_class: always_on.gpu-24gb}
there:
  mode: ssh
  host: 192.0.2.9
  ssh_port: 2222
  username: horde
  key_path: /keys/one
"""


def written(tmp_path, text):
    path = tmp_path / "servers.yml"
    path.write_text(text)
    return path


def test_each_server_offers_one_executor(tmp_path):
    path = written(tmp_path, GOOD)
    manager = DockerManager(ManagerSettings("ws://x", "me", docker_servers=path), lambda *_: None)
    assert manager.manifest() == {
        ExecutorClass.always_on__gpu_24gb: 1,
        ExecutorClass.spin_up_4min__gpu_24gb: 1,
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one: {mode: ssh}", "host, username and key_path"),
        ("one: {mode: telnet}", "mode"),
        ("one: {mode: local, executor_class: quantum}", "executor_class"),
        ("one: {mode: local, hots: x}", "hots"),
        ("a: {mode: local}\nb: {mode: local}", "at most one"),
        ("one: {mode: local, streaming_ports: many}", "streaming_ports"),
        ("a: [", "servers.yml"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path, text, expected):
    with pytest.raises(ConfigurationError, match=expected):
        docker_servers.read(written(tmp_path, text))


def test_an_executor_gets_the_ports_of_its_server(tmp_path):
    path = written(tmp_path, 'here: {mode: local, streaming_ports: "7000-7009"}')
    manager = DockerManager(ManagerSettings("ws://x", "me", docker_servers=path), lambda *_: None)
    (slot,) = manager._server_slots
    environment = manager._options(slot, "token", ExecutorClass.spin_up_4min__gpu_24gb)["Env"]
    assert "EXECUTOR_STREAMING_PORTS=7000-7009" in environment


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"none\.yml"):
        docker_servers.read(tmp_path / "none.yml")


@pytest.mark.parametrize(("verify", "word"), [(True, "yes"), (False, "no")])
def test_host_keys_are_verified_unless_disabled(tmp_path, verify, word):
    server = DockerServer(
        host="192.0.2.9", username="horde", key_path=tmp_path / "key", verify_host_key=verify
    )
    command = docker_servers.tunnel_command(server, tmp_path / "docker.sock")
    assert f"StrictHostKeyChecking={word}" in command
    assert command[-3:] == [
        "-L",
        f"{tmp_path}/docker.sock:/var/run/docker.sock",
        "horde@192.0.2.9",
    ]


def test_executors_on_servers_need_an_address_of_the_miner(tmp_path):
    path = written(tmp_path, GOOD)
    near = ManagerSettings("ws://127.0.0.1:8000", "me", docker_servers=path)
    with pytest.raises(ConfigurationError, match=r"there.*MINER_EXECUTOR_MINER_ADDRESS"):
        DockerManager(near, lambda *_: None)
