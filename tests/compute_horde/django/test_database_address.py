"""The database's address is the one that Django itself connects to."""

import subprocess
import sys

import psycopg
from django.db import connection

from compute_horde.django.database_address import connection_parameters

LOOK = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.compute_horde.django.settings"
from django.conf import settings
settings.DATABASES["default"]["NAME"] = sys.argv[1]
from compute_horde.django import needs, single_instance
needs.database("X_").check()
print("django.db.models" in sys.modules)
"""


def test_it_leads_to_the_database_that_django_uses() -> None:
    asked = "SELECT current_database(), current_user, inet_server_port()"
    with connection.cursor() as cursor:
        cursor.execute(asked)
        expected = cursor.fetchone()
    with psycopg.connect(**connection_parameters()) as line:
        assert line.execute(asked).fetchone() == expected


def test_what_is_not_set_is_left_to_the_driver() -> None:
    settings, before = connection.settings_dict, dict(connection.settings_dict)
    settings.update(PORT="", PASSWORD="")
    try:
        assert connection_parameters().keys() == {"dbname", "user", "host"}
    finally:
        settings.update(before)


def test_a_database_is_checked_without_django_s_models() -> None:
    command = [sys.executable, "-c", LOOK, connection.settings_dict["NAME"]]
    looked = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert looked.stdout.strip() == "False"
