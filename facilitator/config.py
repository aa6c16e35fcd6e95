"""The facilitator's settings, read from environment variables."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from compute_horde.configuration import DatabaseUrl, Port, ServiceSettings, Words, load
from compute_horde.django.forwarded import checked_proxies
from compute_horde.django.settings import SecretKey, is_loopback
from facilitator.accounts.host_names import LOOPBACK, normalize_host
from facilitator.jobs.status_feed import FEEDS_OF_HOTKEY
from facilitator.logs.segments import DEFAULT_LOG_BYTES


class Config(ServiceSettings):
    """The facilitator's settings; `FACILITATOR_` goes before each name."""

    model_config = SettingsConfigDict(env_prefix="FACILITATOR_")

    secret_key: SecretKey = Field(description="signs tokens, nonces and sessions")
    database_url: DatabaseUrl = Field(description="postgresql://user:password@host:port/name")
    host: str = Field("127.0.0.1", description="where users and validators connect")
    port: Port = 8000
    admin_user: str = Field("", description="the admin account that `seed` makes")
    admin_password: SecretStr = SecretStr("")
    validators: Words = Field([], description="hotkeys of validators that `seed` admits")
    allowed_hotkeys: Words = Field([], description="hotkeys of users that `seed` admits")
    allowed_hosts: Words = Field(
        [],
        validate_default=True,
        description="our host names, that logins must be meant for; on loopback: its names",
    )
    trusted_origins: Words = Field([], description="https origins of the admin behind a proxy")
    trusted_proxies: Annotated[Words, AfterValidator(checked_proxies)] = Field(
        [], description="addresses or networks whose X-Forwarded-For and -Proto are believed"
    )
    max_connections: int = Field(4096, gt=0, description="open at once, in all")
    max_connections_per_address: int = Field(
        256, gt=0, description="open at once and not logged in, of one address or IPv6 /64"
    )
    https: bool = Field(
        False, description="browsers reach the admin by https only, through a trusted proxy"
    )
    metrics_token: SecretStr | None = Field(
        None, description="opens /metrics as a bearer token; unset, there are no metrics"
    )
    debug: bool = False

    max_signature_age_seconds: float = Field(300, gt=0, description="older requests are refused")
    max_signature_ahead_seconds: float = Field(
        60, ge=0, description="how far a user's clock may be ahead of ours"
    )
    max_body_bytes: int = Field(8 * 2**20, gt=0, description="longest HTTP request body")
    max_jobs_in_flight: int = Field(1000, gt=0, description="unfinished jobs of one hotkey")
    max_jobs_per_minute: int = Field(1200, gt=0, description="new jobs of one hotkey")
    max_streams: int = Field(
        FEEDS_OF_HOTKEY, gt=0, description="event streams one hotkey may hold open"
    )
    absence_seconds: float = Field(
        300, gt=0, description="how long a job waits for a validator that is not there"
    )
    overdue_seconds: float = Field(
        900, gt=0, description="what a job may take beyond its own time limits"
    )
    log_max_bytes: int = Field(
        DEFAULT_LOG_BYTES, ge=0, description="what is kept of a job's output as it is printed"
    )
    keep_days: int = Field(7, ge=1, description="how long jobs stay")

    @field_validator("allowed_hosts")
    @classmethod
    def _require_host_names(cls, hosts: list[str], info: ValidationInfo) -> list[str]:
        """Require explicit host names: logins made for another facilitator must be refused."""
        if "*" in hosts:
            raise ValueError(
                "* would let in whoever passes on a login that was made for another facilitator; "
                "list the host names in the URLs by which users and validators know this one"
            )
        host = info.data.get("host", "")
        if not hosts and not is_loopback(host):
            raise ValueError(
                "is not set; list the host names in the URLs by which users and validators know "
                "this facilitator, such as facilitator.example"
            )
        return [normalize_host(name) for name in hosts or dict.fromkeys((*LOOPBACK, host))]


config = load(Config)
