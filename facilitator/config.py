"""Everything the environment may say to the facilitator."""

import json
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def _words(value: object) -> object:
    """Accept `a,b` as well as `["a", "b"]`."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [word.strip() for word in value.split(",") if word.strip()]


Words = Annotated[list[str], NoDecode, BeforeValidator(_words)]


class Config(BaseSettings):
    """The facilitator's settings; `FACILITATOR_` goes before each name."""

    model_config = SettingsConfigDict(env_prefix="FACILITATOR_", extra="ignore", frozen=True)

    secret_key: SecretStr = Field(min_length=32, description="signs tokens, nonces and sessions")
    database_url: SecretStr = Field(description="postgresql://user:password@host:port/name")
    host: str = Field("127.0.0.1", description="where users and validators connect")
    port: int = 8000
    admin_user: str = Field("", description="the admin account that `seed` makes")
    admin_password: SecretStr = SecretStr("")
    validators: Words = Field([], description="hotkeys of validators that `seed` admits")
    allowed_hotkeys: Words = Field([], description="hotkeys of users that `seed` admits")
    allowed_hosts: Words = Field(["*"], description="host names the site answers to")
    trusted_origins: Words = Field([], description="https origins of the admin behind a proxy")
    debug: bool = False

    max_signature_age_seconds: float = Field(300, gt=0, description="older requests are refused")
    max_signature_ahead_seconds: float = Field(
        60, ge=0, description="how far a user's clock may be ahead of ours"
    )
    max_body_bytes: int = Field(8 * 2**20, gt=0, description="longest HTTP request body")
    max_streams: int = Field(32, gt=0, description="event streams one hotkey may hold open")
    absence_seconds: float = Field(
        300, gt=0, description="how long a job waits for a validator that is not there"
    )
    overdue_seconds: float = Field(
        900, gt=0, description="what a job may take beyond its own time limits"
    )
    log_max_bytes: int = Field(
        64 * 2**20, ge=0, description="what is kept of a job's output as it is printed"
    )
    keep_days: int = Field(7, ge=1, description="how long jobs stay")


config = Config()  # type: ignore[call-arg]  # the environment gives what is required
