"""Minimal Django settings for these tests: one database, the admin's apps and one of our own."""

import os

from compute_horde.django.settings import ADMIN_APPS, databases

DATABASES = databases(os.environ["FACILITATOR_DATABASE_URL"])
DATABASES["default"]["NAME"] = "compute_horde"
INSTALLED_APPS = [*ADMIN_APPS, "tests.compute_horde.django.records"]
ROOT_URLCONF = "tests.compute_horde.django.urls"
STATIC_URL = "/static/"
SECRET_KEY = "0123456789" * 5
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
USE_TZ = True
LOGGING = {"version": 1, "disable_existing_loggers": False}
