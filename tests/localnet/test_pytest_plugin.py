"""The plugin starts servers for a pytest run with Django settings, and keeps bytecode."""

import subprocess
import sys

from localnet.process_table import ROOT
from localnet.pytest_plugin import BYTECODE

TEST = """
import os
import subprocess
import sys
import pytest
from django.db import connection

@pytest.mark.django_db
def test_there_is_a_database():
    connection.ensure_connection()
    assert os.environ["VALIDATOR_REDIS_URL"]

def test_processes_write_bytecode():
    assert "PYTHONDONTWRITEBYTECODE" not in os.environ
    code = "import sys; print(sys.dont_write_bytecode, sys.pycache_prefix)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert told.stdout.split() == ["False", sys.pycache_prefix]
"""
SETTINGS = """
import os
from compute_horde.django.settings import databases
DATABASES = databases(os.environ["FACILITATOR_DATABASE_URL"])
INSTALLED_APPS = []
"""


def test_servers_are_started_for_tests_with_settings(tmp_path):
    (tmp_path / "some_settings.py").write_text(SETTINGS)
    (tmp_path / "test_database.py").write_text(TEST)
    command = [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml"]
    done = subprocess.run(
        [*command, "--rootdir", tmp_path, "--ds", "some_settings", tmp_path],
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": f"{tmp_path}:{ROOT}",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    assert any(BYTECODE.rglob("*.pyc"))
