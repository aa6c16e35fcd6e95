"""Django's view of `config`. No environment access here; no logic."""

from compute_horde.django import settings as shared
from validator.config import config

SECRET_KEY = config.secret_key.get_secret_value()
DEBUG = config.debug
# The health check of a container asks by this name.
ALLOWED_HOSTS = [*config.allowed_hosts, "127.0.0.1"]
CSRF_TRUSTED_ORIGINS = config.trusted_origins
ROOT_URLCONF = "validator.urls"
FEATURES = [
    "validator.network",
    "validator.allowance",
    "validator.jobs",
    "validator.receipts",
    "validator.llm",
    "validator.synthetic",
    "validator.trusted_miner",
    "validator.scores",
    "validator.weights",
    "validator.operators",
]
# First, since their templates replace the admin's.
INSTALLED_APPS = [*FEATURES, *shared.ADMIN_APPS]
MIDDLEWARE = shared.MIDDLEWARE
# Browsers send a host's cookies to all its ports: services on one machine need names of their own.
SESSION_COOKIE_NAME = "validator_session"
CSRF_COOKIE_NAME = "validator_csrf"
DEVICE_COOKIE_NAME = "validator_device"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
# Only the admin has cookies; it is all that browsers are led to https for.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = config.https
SECURE_HSTS_SECONDS = shared.HSTS_SECONDS if config.https else 0
SECURE_REDIRECT_EXEMPT = [r"^(?!admin/)"]
SILENCED_SYSTEM_CHECKS = shared.silenced_checks(https=config.https, host=config.host)
TEMPLATES = shared.templates("validator.weights.alarms.in_templates")
DATABASES = shared.databases(config.database_url.get_secret_value())
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGGING = shared.logging_config(debug=config.debug)
# Beat and worker would log every tick three times over.
LOGGING["loggers"] |= {
    "celery.app.trace": {"level": "WARNING"},
    "celery.apps.worker": {"level": "WARNING"},
    "celery.beat": {"level": "WARNING"},
    "celery.worker.strategy": {"level": "WARNING"},
}
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "/static/"
