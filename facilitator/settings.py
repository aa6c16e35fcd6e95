"""Django settings, derived from `config`; no environment access and no logic."""

from compute_horde.django import settings as shared
from facilitator.accounts.host_names import LOOPBACK
from facilitator.config import config

SECRET_KEY = config.secret_key.get_secret_value()
DEBUG = config.debug
# The health check of a container asks by a loopback name; logins are for `allowed_hosts` alone.
ALLOWED_HOSTS = [*config.allowed_hosts, *LOOPBACK]
CSRF_TRUSTED_ORIGINS = config.trusted_origins
ROOT_URLCONF = "facilitator.urls"
INSTALLED_APPS = [*shared.ADMIN_APPS, "ninja", "facilitator"]
MIDDLEWARE = shared.MIDDLEWARE
# Browsers send a host's cookies to all its ports, so each service needs its own cookie names.
SESSION_COOKIE_NAME = "facilitator_session"
CSRF_COOKIE_NAME = "facilitator_csrf"
DEVICE_COOKIE_NAME = "facilitator_device"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
# Only the admin uses cookies, so only its pages are redirected to https.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = config.https
SECURE_HSTS_SECONDS = shared.HSTS_SECONDS if config.https else 0
SECURE_REDIRECT_EXEMPT = [r"^(?!admin/)"]
SILENCED_SYSTEM_CHECKS = shared.silenced_checks(https=config.https, host=config.host)
TEMPLATES = shared.templates()
DATABASES = shared.databases(config.database_url.get_secret_value())
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGGING = shared.logging_config(debug=config.debug)
# A refused request is reported to the caller, not in our log.
LOGGING["loggers"]["django.request"] = {"level": "ERROR"}
STATIC_URL = "/static/"
USE_TZ = True
TIME_ZONE = "UTC"
DATA_UPLOAD_MAX_MEMORY_SIZE = config.max_body_bytes
