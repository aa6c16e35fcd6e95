"""The settings of processes without web pages: `validator.settings` without the admin site."""

from validator.settings import *  # noqa: F403
from validator.settings import FEATURES

INSTALLED_APPS = FEATURES
ROOT_URLCONF = ""
