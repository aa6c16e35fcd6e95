"""What the environment may say to the SDK; explicit arguments win over it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from compute_horde.errors import ConfigurationError
from compute_horde.hardware import ExecutorClass

DEFAULT_FACILITATOR_URL = "https://facilitator.computehorde.io/"


@dataclass(frozen=True, slots=True)
class Config:
    """Whom to ask, as whom, and for which machine."""

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
    """Explicit values, else `env_file`, else the environment; `ConfigurationError` names gaps."""
    known = {**os.environ, **(_lines(Path(env_file)) if env_file else {})}  # noqa: TID251
    return Config(
        facilitator_url or known.get("FACILITATOR_URL") or DEFAULT_FACILITATOR_URL,
        Path(hotkey_file or _needed(known, "USER_HOTKEY_FILE", "an unencrypted hotkey file")),
        validator_hotkey
        or _needed(known, "VALIDATOR_HOTKEY", "the SS58 address of the validator to ask"),
        known_class(executor_class or known.get("EXECUTOR_CLASS") or ExecutorClass.always_on__test),
    )


def known_class(word: str) -> ExecutorClass:
    """The executor class of that wire name or Python name."""
    try:
        return ExecutorClass.__members__.get(word) or ExecutorClass(word)
    except ValueError as exc:
        raise ConfigurationError(
            f"there is no executor class {word!r}; choose one of {', '.join(ExecutorClass)}"
        ) from exc


def _needed(known: Mapping[str, str], name: str, what: str) -> str:
    value = known.get(name)
    if not value:
        raise ConfigurationError(
            f"{name} is not set: {what}. Export it, pass it, or name a file of KEY=VALUE lines "
            "that has it (--env-file, env_file=)"
        )
    return value


def _lines(path: Path) -> dict[str, str]:
    try:
        text = path.expanduser().read_text()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"the environment file {path} cannot be read: {exc}") from exc
    known = {}
    for number, line in enumerate(text.splitlines(), 1):
        told = line.strip().removeprefix("export ")
        if not told or told.startswith("#"):
            continue
        name, found, value = told.partition("=")
        if not found:
            raise ConfigurationError(f"{path}:{number} is not a KEY=VALUE line")
        known[name.strip()] = value.strip().strip("'\"")
    return known
