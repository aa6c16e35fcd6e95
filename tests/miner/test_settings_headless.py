"""The process without web pages does not load the admin site."""

import subprocess
import sys

LOOK = """
import os, sys
os.environ.pop("DJANGO_SETTINGS_MODULE", None)
from dataclasses import replace
from miner.processes import SERVICE

def look():
    import miner.periodic
    heavy = {"django.contrib.admin", "django.contrib.auth", "uvicorn", "bittensor"}
    print(sorted(heavy & sys.modules.keys()))

processes = [replace(one, needs=(), run=look) for one in SERVICE.processes]
replace(SERVICE, processes=tuple(processes)).main(["keep"])
"""


def test_the_periodic_tasks_start_without_the_admin_site_and_the_chains_sdk() -> None:
    command = [sys.executable, "-c", LOOK]
    looked = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert looked.stdout.strip() == "[]"
