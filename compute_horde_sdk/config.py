"""Settings of the SDK from arguments, an environment file and the environment, in that order."""

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv.parser import parse_stream

from compute_horde.errors import ConfigurationError
from compute_horde.hardware import ExecutorClass

DEFAULT_FACILITATOR_URL = "https://facilitator.computehorde.io/"


@dataclass(frozen=True, slots=True)
class Config:
    """Facilitator, hotkey, validator and executor class of a client."""

    facilitator_url: str
    hotkey_file: Path
    validator_hotkey: str
    executor_class: ExecutorClass


def load(
    *,
    facilitator_url: str | None = None,
    hotkey_file: str | Path | None = None,
    validator_hotkey: str | None = None,
    executor_class: str | None = None,
    env_file: str | Path | None = None,
) -> Config:
    """Each setting from its argument, else `env_file`, else the environment.

    Raises `ConfigurationError` when a required setting is missing or a value is invalid.
    """
    settings = {**os.environ, **(_settings_in_file(Path(env_file)) if env_file else {})}  # noqa: TID251
    return Config(
        facilitator_url or settings.get("FACILITATOR_URL") or DEFAULT_FACILITATOR_URL,
        Path(hotkey_file or _required(settings, "USER_HOTKEY_FILE", "an unencrypted hotkey file")),
        validator_hotkey
        or _required(settings, "VALIDATOR_HOTKEY", "the SS58 address of the validator to ask"),
        executor_class_named(
            executor_class or settings.get("EXECUTOR_CLASS") or ExecutorClass.always_on__test
        ),
    )


def state_folder() -> Path | None:
    """The folder of the SDK's persistent state; None for a user without a home directory."""
    base = os.environ.get("XDG_STATE_HOME")  # noqa: TID251
    try:
        return (Path(base) if base else Path.home() / ".local" / "state") / "compute-horde"
    except RuntimeError:
        return None


def executor_class_named(name: str) -> ExecutorClass:
    """The executor class of that wire name or Python name; raises `ConfigurationError`."""
    try:
        return ExecutorClass.__members__.get(name) or ExecutorClass(name)
    except ValueError as exc:
        raise ConfigurationError(
            f"there is no executor class {name!r}; choose one of {', '.join(ExecutorClass)}"
        ) from exc


def check_address(validator: str) -> None:
    """Raise `ConfigurationError` unless `validator` is an SS58 address."""
    # Imported here, because the import is slow.
    from compute_horde.signing import address_problem

    if why := address_problem(validator):
        raise ConfigurationError(
            f"VALIDATOR_HOTKEY (--validator-hotkey) {validator!r} is not an SS58 address: it {why}"
        )


def _required(settings: Mapping[str, str], name: str, what: str) -> str:
    value = settings.get(name)
    if not value:
        raise ConfigurationError(
            f"{name} is not set: {what}. Export it, pass it, or name a file of KEY=VALUE lines "
            "that has it (--env-file, env_file=)"
        )
    return value


def _settings_in_file(path: Path) -> dict[str, str]:
    """The settings in a file of shell assignments, with quotes, comments and `export`."""
    try:
        text = path.expanduser().read_text()
    except (OSError, RuntimeError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"the environment file {path} cannot be read: {exc}") from exc
    settings = {}
    for binding in parse_stream(io.StringIO(text)):
        blank = not binding.original.string.strip()
        if binding.error or (binding.key and binding.value is None):
            line = binding.original.line + _leading_lines(binding.original.string)
            raise ConfigurationError(
                f"{path}:{line} is not a KEY=VALUE line. Values with spaces or # go into quotes, "
                "which must be closed; comments begin with #"
            )
        if binding.key and binding.value is not None and not blank:
            settings[binding.key] = binding.value
    return settings


def _leading_lines(text: str) -> int:
    return text[: len(text) - len(text.lstrip())].count("\n")


def proxies() -> dict[str, str]:
    """The environment variables that name proxies, as far as they are set."""
    return _set_variables("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def certificates() -> dict[str, str]:
    """The environment variables that name trusted certificates, as far as they are set."""
    return _set_variables("SSL_CERT_FILE", "SSL_CERT_DIR")


def _set_variables(*names: str) -> dict[str, str]:
    both = (spelling for name in names for spelling in (name, name.lower()))
    return {name: os.environ[name] for name in both if os.environ.get(name)}  # noqa: TID251
