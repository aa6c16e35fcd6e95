"""Just enough of Django to prove the chassis: one database, one app."""

import os

from compute_horde.django.settings import databases

DATABASES = databases(os.environ["FACILITATOR_DATABASE_URL"])
DATABASES["default"]["NAME"] = "chassis"
INSTALLED_APPS = ["tests.chassis.records"]
USE_TZ = True
