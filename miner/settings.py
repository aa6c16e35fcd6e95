"""The settings of Django, all of them from `config`."""

from compute_horde.django import settings as shared
from miner.config import config

SECRET_KEY = config.secret_key.get_secret_value()
DEBUG = config.debug
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "miner.urls"
FEATURES = [
    "miner.executors",
    "miner.earnings",
    "miner.hotkeys",
    "miner.validators",
    "miner.jobs",
    "miner.receipts",
]
# Before the admin, because `miner.executors` extends the admin's `base_site.html` by a link.
INSTALLED_APPS = [*FEATURES, *shared.ADMIN_APPS]
MIDDLEWARE = shared.MIDDLEWARE
# Browsers send the cookies of a host to all its ports, so each service needs its own names.
SESSION_COOKIE_NAME = "miner_session"
CSRF_COOKIE_NAME = "miner_csrf"
DEVICE_COOKIE_NAME = "miner_device"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
# Only the admin has cookies, and only its pages are redirected to https.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = config.https
SECURE_HSTS_SECONDS = shared.HSTS_SECONDS if config.https else 0
SECURE_REDIRECT_EXEMPT = [r"^(?!admin/)"]
SILENCED_SYSTEM_CHECKS = shared.silenced_checks(https=config.https, host=config.admin_host)
TEMPLATES = shared.templates()
DATABASES = shared.databases(config.database_url.get_secret_value())
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGGING = shared.logging_config(debug=config.debug)
STATIC_URL = "/static/"
USE_TZ = True
TIME_ZONE = "UTC"
