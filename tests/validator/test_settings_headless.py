"""Processes without web pages do not load the admin site."""

import subprocess
import sys

LOOK = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "validator.settings_headless"
import django; django.setup()
import validator.listener
heavy = {"django.contrib.admin", "celery", "kombu", "bittensor"}
print(sorted(heavy & sys.modules.keys()))
"""


def test_the_listener_imports_neither_admin_nor_celery_nor_the_chains_sdk() -> None:
    command = [sys.executable, "-c", LOOK]
    looked = subprocess.run(command, capture_output=True, text=True, check=True)
    assert looked.stdout.strip() == "[]"
