"""The settings of processes without pages: the same, but without what only the admin site needs."""

from validator.settings import *  # noqa: F403
from validator.settings import FEATURES

INSTALLED_APPS = FEATURES
ROOT_URLCONF = ""
