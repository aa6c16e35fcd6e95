"""Django's view of `config`. No environment access here; no logic."""

from compute_horde.django import settings as shared
from validator.config import config

SECRET_KEY = config.secret_key.get_secret_value()
DEBUG = config.debug
ALLOWED_HOSTS = config.allowed_hosts
CSRF_TRUSTED_ORIGINS = config.trusted_origins
ROOT_URLCONF = "validator.urls"
FEATURES = [
    "validator.network",
    "validator.jobs",
    "validator.receipts",
    "validator.synthetic",
    "validator.weights",
]
INSTALLED_APPS = [*shared.ADMIN_APPS, *FEATURES]
MIDDLEWARE = shared.MIDDLEWARE
TEMPLATES = shared.templates()
DATABASES = shared.databases(config.database_url.get_secret_value())
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGGING = shared.logging_config(debug=config.debug)
# Beat and worker would log every tick three times over.
LOGGING["loggers"] |= {
    "celery.app.trace": {"level": "WARNING"},
    "celery.beat": {"level": "WARNING"},
    "celery.worker.strategy": {"level": "WARNING"},
}
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "/static/"
