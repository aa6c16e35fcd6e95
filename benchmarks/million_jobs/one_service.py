"""Benchmarks one service; `benchmarks.million_jobs` starts it with that service's settings."""

import logging
import sys
import time
from importlib import import_module

import django
from django.core.management import call_command
from django.db import connection

from benchmarks.million_jobs import measuring
from benchmarks.million_jobs.admin_lists import admin_lists
from benchmarks.million_jobs.filling import without_indexes


def main(service: str, jobs: int) -> int:
    """Fill the service's database with `jobs` jobs and time its queries; the exit status."""
    django.setup()
    logging.disable()
    module = import_module(f"benchmarks.million_jobs.{service}_queries")
    call_command("migrate", verbosity=0)
    start = time.monotonic()
    with connection.cursor() as cursor, without_indexes(cursor):
        for statement, parameters in module.rows(jobs):
            cursor.execute(statement, parameters)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    print(f"\n{service}: {jobs} jobs stored in {time.monotonic() - start:.0f} s")
    cases = [*module.cases(jobs), *admin_lists(module.SEARCHES)]
    return measuring.report([measuring.measure(case) for case in cases])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
