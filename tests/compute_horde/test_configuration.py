"""Errors name the wrong settings, and show no value."""

import re
from pathlib import Path

import pytest
from pydantic import Field, SecretStr, TypeAdapter, ValidationError
from pydantic_settings import SettingsConfigDict

from compute_horde import configuration
from compute_horde.configuration import DatabaseUrl, ServiceSettings, UnknownSetting, load
from compute_horde.errors import ConfigurationError
from executor.config import Config as ExecutorConfig

SECRET = "hush-hush"


class Config(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="SHOP_")

    secret_key: SecretStr = Field(min_length=32, description="signs sessions")
    database_url: DatabaseUrl = SecretStr("postgresql://a@b/c")
    port: int = 80
    counts: dict[str, int] = {}


@pytest.fixture
def env(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOP_SECRET_KEY", "k" * 32)
    return monkeypatch


def refusal():
    with pytest.raises(ConfigurationError) as refused:
        load(Config)
    assert SECRET not in str(refused.value)
    # What a traceback would show as well.
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__
    return str(refused.value)


def test_what_is_missing_is_named_with_its_purpose(env):
    env.delenv("SHOP_SECRET_KEY")
    env.setenv("SHOP_SECRETKEY", SECRET)
    assert refusal() == (
        "SHOP_SECRET_KEY is not set (signs sessions); "
        "SHOP_SECRETKEY is no setting, did you mean SHOP_SECRET_KEY?"
    )


@pytest.mark.parametrize(
    ("name", "value", "output"),
    [
        ("SHOP_PORT", SECRET, "SHOP_PORT: "),
        ("SHOP_SECRET_KEY", SECRET, "SHOP_SECRET_KEY: "),
        ("SHOP_COUNTS", "{" + SECRET, "SHOP_COUNTS: should be JSON, and is not"),
        ("SHOP_COUNTS", f'{{"a": "{SECRET}"}}', "SHOP_COUNTS.a: "),
        ("SHOP_DATABASE_URL", f"mysql://a:{SECRET}@b/c", "must start with postgresql://"),
        ("SHOP_DATABASE_URL", f"postgresql://a:{SECRET}/{SECRET}@b/c", "%2F"),
        ("SHOP_DATABASE_URL", f"postgresql://a:{SECRET}@b", "names no database"),
    ],
)
def test_what_is_wrong_is_named_and_its_value_is_not(env, name, value, output):
    env.setenv(name, value)
    assert output in refusal()


def test_every_error_of_a_class_of_settings_hides_what_was_given(env):
    env.setenv("SHOP_PORT", SECRET)
    with pytest.raises(ValidationError) as refused:
        Config()
    assert SECRET not in f"{refused.value} {refused.value!r}"


def test_settings_are_read_from_a_file_too_and_its_mistakes_are_named(env, tmp_path):
    (tmp_path / ".env").write_text("SHOP_PORT=81\nSHOP_PROT=82\nOTHER_PROT=1\n")
    assert load(Config).port == 81
    assert configuration.unknown(Config) == [UnknownSetting("SHOP_PROT", "SHOP_PORT")]


def test_a_file_that_cannot_be_read_as_text_is_told(env, tmp_path):
    (tmp_path / ".env").write_bytes(b"\xff\xfe")
    assert refusal() == "the file .env cannot be read: it is not UTF-8 text"


def test_a_setting_unlike_all_others_is_named_without_a_guess(env):
    env.setenv("SHOP_ZZZZZZZZZ", "1")
    assert configuration.unknown(Config) == [UnknownSetting("SHOP_ZZZZZZZZZ", None)]


def test_what_is_read_under_two_names_has_both():
    assert configuration.names(ExecutorConfig, "executor_class") == ("EXECUTOR_CLASS",)
    assert configuration.names(Config, "port") == ("SHOP_PORT",)


def test_settings_do_not_show_their_secrets(env):
    env.setenv("EXECUTOR_TOKEN", SECRET)
    env.setenv("EXECUTOR_HUB_TOKEN", SECRET)
    env.setenv("SHOP_DATABASE_URL", f"postgresql://a:{SECRET}@b/c")
    for config in (load(Config), load(ExecutorConfig)):
        assert SECRET not in f"{config} {config!r} {config.model_dump()}"


@pytest.mark.parametrize("port", [-1, 65536, 70000])
def test_a_port_that_cannot_be_is_no_setting(port):
    # Binding 70000 would bind 4464.
    with pytest.raises(ValidationError):
        TypeAdapter(configuration.Port).validate_python(port)


@pytest.mark.parametrize("service", ["executor", "facilitator", "miner", "validator"])
def test_every_port_among_the_settings_is_bounded(service):
    text = (Path(configuration.__file__).parent.parent / service / "config.py").read_text()
    assert not re.findall(r"^    \w*port: int.*", text, re.MULTILINE)
