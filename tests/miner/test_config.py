"""Settings from the environment."""

import pytest
from pydantic import ValidationError

from compute_horde.hardware import ExecutorClass
from miner.config import Config, child_environment
from tests.miner.conftest import MINER, STRANGER


@pytest.fixture
def env(monkeypatch):
    for name in ("MINER_VALIDATORS", "MINER_EXECUTORS", "MINER_PORT", "DOCKER_HOST"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch.setenv


@pytest.mark.parametrize("text", ["a,b", '["a", "b"]', "a, b,"])
def test_validators_are_a_list_in_either_form(env, text):
    env("MINER_VALIDATORS", text)
    assert Config(_env_file=None).validators == ("a", "b")


@pytest.mark.parametrize(("names", "is_fine"), [("a", True), ("", False), ("a,b", False)])
def test_a_trusted_miner_works_for_one_validator(env, names, is_fine):
    env("MINER_TRUSTED", "true")
    env("MINER_VALIDATORS", names)
    if is_fine:
        assert Config(_env_file=None).trusted
    else:
        with pytest.raises(ValidationError, match="the one validator"):
            Config(_env_file=None)


def test_the_main_hotkeys_are_addresses(env):
    env("MINER_MAIN_HOTKEYS", f"{MINER.ss58_address},{STRANGER.ss58_address}")
    assert Config(_env_file=None).main_hotkeys == (MINER.ss58_address, STRANGER.ss58_address)
    for mistyped, problem in (
        (MINER.ss58_address[:-1] + "x", "mistyped"),
        (MINER.ss58_address * 2, "has 96 characters"),
        ("a", "has 1 characters"),
    ):
        env("MINER_MAIN_HOTKEYS", f"{STRANGER.ss58_address},{mistyped}")
        with pytest.raises(ValidationError, match=f"'{mistyped}' .*{problem}"):
            Config(_env_file=None)


def test_executors_are_counted_by_class(env):
    env("MINER_EXECUTORS", '{"always_on.test": 4}')
    assert Config(_env_file=None).executors == {ExecutorClass.always_on__test: 4}
    env("MINER_EXECUTORS", '{"quantum": 4}')
    with pytest.raises(ValidationError):
        Config(_env_file=None)


def test_executors_find_the_miner_on_its_own_port(env):
    env("MINER_PORT", "4711")
    assert Config(_env_file=None).address_for_executors == "ws://127.0.0.1:4711"


def test_the_engine_is_that_of_the_docker_command(env):
    env("DOCKER_HOST", "unix:///run/mine.sock")
    assert str(Config(_env_file=None).docker_socket) == "/run/mine.sock"


def test_child_processes_do_not_get_the_miners_secrets(env):
    env("MINER_SECRET_KEY", "hush")
    env("DATABASE_URL", "hush")
    env("EXECUTOR_DEBUG", "true")
    environment = child_environment(EXECUTOR_OWNER="me")
    assert "hush" not in environment.values()
    assert (environment["EXECUTOR_DEBUG"], environment["EXECUTOR_OWNER"]) == ("true", "me")
