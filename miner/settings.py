"""Django's view of `config`. No environment access here; no logic."""

from compute_horde.django import settings as shared
from miner.config import config

SECRET_KEY = config.secret_key.get_secret_value()
DEBUG = config.debug
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "miner.urls"
INSTALLED_APPS = [
    *shared.ADMIN_APPS,
    "miner.executors",
    "miner.validators",
    "miner.jobs",
    "miner.receipts",
]
MIDDLEWARE = shared.MIDDLEWARE
TEMPLATES = shared.templates()
DATABASES = shared.databases(config.database_url.get_secret_value())
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGGING = shared.logging_config(debug=config.debug)
STATIC_URL = "/static/"
USE_TZ = True
TIME_ZONE = "UTC"
