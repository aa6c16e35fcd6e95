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


BEAT = """
import os, sys
os.environ.pop("DJANGO_SETTINGS_MODULE", None)
from dataclasses import replace
from validator.processes import SERVICE

def look():
    from validator import scheduled
    scheduled.app.finalize()
    assert len(scheduled.BeatScheduler(scheduled.app).schedule) == len(scheduled.TASKS)
    heavy = {"django.apps.registry", "django.db.models", "validator.jobs.models", "bittensor"}
    print(sorted(heavy & sys.modules.keys()))

processes = [replace(one, needs=(), run=look) for one in SERVICE.processes]
replace(SERVICE, processes=tuple(processes)).main(["beat"])
"""


def test_beat_loads_neither_a_model_nor_the_chains_sdk() -> None:
    command = [sys.executable, "-c", BEAT]
    looked = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert looked.stdout.strip() == "[]"


def test_the_listener_imports_neither_admin_nor_celery_nor_the_chains_sdk() -> None:
    command = [sys.executable, "-c", LOOK]
    looked = subprocess.run(command, capture_output=True, text=True, check=True)
    assert looked.stdout.strip() == "[]"
