"""Django's view of `config`. No environment access here; no logic."""

from compute_horde.django.settings import (
    ADMIN_APPS,
    MIDDLEWARE,
    databases,
    logging_config,
    static_root,
    templates,
)
from miner.config import config

SECRET_KEY = config.secret_key.get_secret_value()
DEBUG = config.debug
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "miner.urls"
INSTALLED_APPS = [
    *ADMIN_APPS,
    "miner.executors",
    "miner.validators",
    "miner.jobs",
    "miner.receipts",
]
MIDDLEWARE = MIDDLEWARE
TEMPLATES = templates()
DATABASES = databases(config.database_url.get_secret_value())
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGGING = logging_config(debug=config.debug)
STATIC_URL = "/static/"
STATIC_ROOT = static_root("miner")
WHITENOISE_USE_FINDERS = True
USE_TZ = True
TIME_ZONE = "UTC"
