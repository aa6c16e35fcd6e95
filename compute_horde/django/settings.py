"""Settings that all Django services share."""

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, SecretStr

ADMIN_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "compute_horde.django",
]
# Static files are served in `asgi`: middleware for them would cost a thread per request.
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    # After the CSRF check: what that refuses is not counted as an attempt.
    "compute_horde.django.login_throttle.LoginThrottle",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "compute_horde.django.content_policy.content_policy",
]

# The length that Django's own check for deployments requires.
SECRET_KEY_CHARACTERS, SECRET_KEY_DIFFERENT = 50, 5
HSTS_SECONDS = 365 * 86400
# Django's check for HSTS demands settings that would affect domains other than ours.
OTHER_DOMAINS = ("security.W005", "security.W021")
# Django's checks for a site without https.
WITHOUT_HTTPS = ("security.W004", "security.W008", "security.W012", "security.W016")


def _strong(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if len(text) < SECRET_KEY_CHARACTERS or len(set(text)) < SECRET_KEY_DIFFERENT:
        raise ValueError(
            f"at least {SECRET_KEY_CHARACTERS} characters, not all alike; make a key with: "
            "python -c 'import secrets; print(secrets.token_urlsafe(50))'"
        )
    return key


# Whoever guesses the key can act as the admin, and at a facilitator as any user.
SecretKey = Annotated[SecretStr, AfterValidator(_strong)]


def silenced_checks(*, https: bool, host: str) -> Sequence[str]:
    """Checks of `check --deploy` that do not apply; `host` is where the admin listens.

    Without https they apply, unless the admin can only be reached from this machine.
    """
    if https:
        return OTHER_DOMAINS
    return WITHOUT_HTTPS if is_loopback(host) else ()


def is_loopback(host: str) -> bool:
    """Whether `host` can only be reached from this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def databases(url: str) -> dict[str, Any]:
    """Django's DATABASES for a `postgresql://user:password@host:port/name` URL."""
    parts = urlsplit(str(url))
    return {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": parts.path.lstrip("/"),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": parts.hostname or "",
            "PORT": str(parts.port or ""),
            # Django under ASGI serves each request in a new thread, whose connection must end
            # with it. The threads of `database` keep theirs: no request ends on them.
            "CONN_MAX_AGE": 0,
            "OPTIONS": {"connect_timeout": 5},
        }
    }


def templates(*more_processors: str) -> list[dict[str, Any]]:
    """The templates setting that the admin needs, with context processors of the service's own."""
    processors = [
        "django.template.context_processors.request",
        "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
        *more_processors,
    ]
    return [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {"context_processors": processors},
        }
    ]


def logging_config(*, debug: bool = False) -> dict[str, Any]:
    """One line per event on standard error: time, level, logger, text and the fields given."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"no_traceback": {"()": "compute_horde.log_lines.WithoutTraceback"}},
        "formatters": {"fields": {"()": "compute_horde.log_lines.FieldFormatter"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "fields"}},
        "root": {"handlers": ["stderr"], "level": "DEBUG" if debug else "INFO"},
        "loggers": {
            # It logs each websocket's path, and an executor's path contains its token.
            "uvicorn.error": {"level": "WARNING"},
            "websockets": {"level": "WARNING"},
            "asyncio": {"level": "WARNING"},
            # Its errors are raised to us, and logged here.
            "bittensor": {"level": "WARNING"},
            "httpx": {"level": "WARNING"},
            # It warns of every answer of 4xx: anybody can cause them, and most polls of receipt
            # pages, which bring nothing new, end with one.
            "django.request": {"level": "DEBUG" if debug else "ERROR"},
            # Errors in a client's request need no traceback.
            "django.security": {"filters": ["no_traceback"]},
            "django.security.DisallowedHost": {"filters": ["no_traceback"]},
        },
    }
