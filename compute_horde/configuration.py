"""Settings of all processes: reading them from the environment, and readable errors."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
)
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    NoDecode,
    SettingsConfigDict,
    SettingsError,
)

from compute_horde.errors import ConfigurationError

SIMILAR = 0.75
POSTGRESQL = ("postgresql", "postgres")


class Settings(BaseSettings):
    """Settings of a process. Errors never contain a value, since any value may be a secret."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class ServiceSettings(Settings):
    """Settings of a service, which also reads the file `.env` of its working directory."""

    model_config = SettingsConfigDict(env_file=".env")


def split_words(value: object) -> object:
    """Parses a list in an environment variable: `a,b` or `["a", "b"]`."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [word.strip() for word in value.split(",") if word.strip()]


Words = Annotated[list[str], NoDecode, BeforeValidator(split_words)]
Loaded = TypeVar("Loaded", bound=Settings)


def load(kind: type[Loaded]) -> Loaded:
    """Settings read from the environment; `ConfigurationError` names each wrong one."""
    try:
        return kind()
    except ValidationError as exc:
        wrong = "; ".join(_problems(kind, exc))
    except SettingsError as exc:
        wrong = _unreadable(kind, str(exc))
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8 text"
        wrong = f"the file .env cannot be read: {reason}"
    hints = [f"{one.name} is no setting{one.hint}" for one in unknown(kind)]
    # Without its cause, which may contain values.
    raise ConfigurationError("; ".join([wrong, *hints])) from None


@dataclass(frozen=True, slots=True)
class UnknownSetting:
    """A variable with a service's prefix that is not one of its settings."""

    name: str
    nearest: str | None

    @property
    def hint(self) -> str:
        """A suggestion of the setting that was probably meant, or an empty text."""
        return f", did you mean {self.nearest}?" if self.nearest else ""


def unknown(kind: type[Settings]) -> list[UnknownSetting]:
    """Variables with the prefix of `kind` that are not settings of it, sorted by name."""
    prefix = str(kind.model_config.get("env_prefix", "")).upper()
    valid = [name for field in kind.model_fields for name in names(kind, field)]
    try:
        given = {name.upper() for name in _environment(kind)}
    except (OSError, UnicodeDecodeError):
        return []
    strange = sorted(name for name in given - set(valid) if prefix and name.startswith(prefix))
    return [UnknownSetting(name, _nearest(name, valid)) for name in strange]


def names(kind: type[Settings], field: str) -> tuple[str, ...]:
    """The environment variables that a field is read from, the preferred one first."""
    alias = kind.model_fields[field].validation_alias
    if isinstance(alias, AliasChoices):
        return tuple(str(choice) for choice in alias.choices)
    if isinstance(alias, str):
        return (alias,)
    return (f"{kind.model_config.get('env_prefix', '')}{field}".upper(),)


def _environment(kind: type[Settings]) -> Iterator[str]:
    yield from EnvSettingsSource(kind).env_vars
    yield from DotEnvSettingsSource(kind).env_vars


def _nearest(name: str, valid: list[str]) -> str | None:
    return next(iter(get_close_matches(name, valid, 1, SIMILAR)), None)


def _problems(kind: type[Settings], error: ValidationError) -> Iterator[str]:
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        place = [str(part) for part in one["loc"]]
        name, *inside = place or ["settings"]
        if name in kind.model_fields:
            name = names(kind, name)[0]
        shown = ".".join([name, *inside])
        if one["type"] == "missing":
            yield f"{shown} is not set{_description(kind, name)}"
        else:
            yield f"{shown}: {one['msg'].removeprefix('Value error, ')}"


def _unreadable(kind: type[Settings], detail: str) -> str:
    """The error text for a value that should be JSON, with the name of its variable."""
    found = re.search(r'field "(\w+)"', detail)
    if found and found[1] in kind.model_fields:
        return f"{names(kind, found[1])[0]}: should be JSON, and is not"
    return detail


def _description(kind: type[Settings], name: str) -> str:
    for field, about in kind.model_fields.items():
        if name in names(kind, field) and about.description:
            return f" ({about.description})"
    return ""


def _postgresql(url: SecretStr) -> SecretStr:
    """Validates a database URL. Errors quote no part of it: any may be the password."""
    parts = urlsplit(url.get_secret_value())
    if parts.scheme not in POSTGRESQL:
        raise ValueError(
            "must start with postgresql://, this service stores its data in PostgreSQL only"
        )
    try:
        _ = parts.port
    except ValueError:
        raise ValueError(
            "has a port that is no number; in a password write / as %2F, : as %3A, @ as %40, "
            "# as %23"
        ) from None
    if not parts.path.strip("/"):
        raise ValueError("names no database; write postgresql://user:password@host:port/name")
    return url


# 0 is any free one.
Port = Annotated[int, Field(ge=0, le=65535)]

DatabaseUrl = Annotated[SecretStr, AfterValidator(_postgresql)]
