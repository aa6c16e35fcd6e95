"""The settings of the process without web pages: `miner.settings` without the admin site."""

from miner.settings import *  # noqa: F403
from miner.settings import FEATURES

INSTALLED_APPS = FEATURES
ROOT_URLCONF = ""
