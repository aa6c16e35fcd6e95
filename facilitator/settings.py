"""Django's view of `config`. No environment access here; no logic."""

from compute_horde.django import settings as shared
from facilitator.config import config

SECRET_KEY = config.secret_key.get_secret_value()
DEBUG = config.debug
ALLOWED_HOSTS = config.allowed_hosts
CSRF_TRUSTED_ORIGINS = config.trusted_origins
ROOT_URLCONF = "facilitator.urls"
INSTALLED_APPS = [*shared.ADMIN_APPS, "ninja", "facilitator"]
MIDDLEWARE = shared.MIDDLEWARE
TEMPLATES = shared.templates()
DATABASES = shared.databases(config.database_url.get_secret_value())
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGGING = shared.logging_config(debug=config.debug)
# A refused request is the caller's affair and told to the caller.
LOGGING["loggers"]["django.request"] = {"level": "ERROR"}
STATIC_URL = "/static/"
USE_TZ = True
TIME_ZONE = "UTC"
DATA_UPLOAD_MAX_MEMORY_SIZE = config.max_body_bytes

MAX_SIGNATURE_AGE_SECONDS = config.max_signature_age_seconds
MAX_SIGNATURE_AHEAD_SECONDS = config.max_signature_ahead_seconds
MAX_STREAMS = config.max_streams
ABSENCE_SECONDS = config.absence_seconds
OVERDUE_SECONDS = config.overdue_seconds
LOG_MAX_BYTES = config.log_max_bytes
KEEP_DAYS = config.keep_days
