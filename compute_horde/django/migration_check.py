"""Compares the migrations of a database with ours by their names, without loading any model."""

from importlib.util import find_spec
from pkgutil import iter_modules

import psycopg
from django.conf import settings

from compute_horde.errors import ConfigurationError

APPLIED = "SELECT app, name FROM django_migrations"

# The label of an app, and the name of one of its migrations.
Migration = tuple[str, str]


def check(line: psycopg.Connection, service: str) -> None:
    """Check that the database of the connection has exactly the migrations of the service.

    Raises `ConfigurationError` when the database was migrated by a newer version, or lacks
    migrations. `service` is the name of the service's command.
    """
    known, applied = ours(), _applied(line)
    migrated_apps = {app for app, _ in known}
    if newer := sorted(one for one in applied - set(known) if one[0] in migrated_apps):
        raise ConfigurationError(
            f"the database was migrated by a newer version, which knows {'.'.join(newer[-1])}: "
            "start that version, or restore the database from before"
        )
    if missing := [one for one in known if one not in applied]:
        raise ConfigurationError(
            f"the database lacks {len(missing)} migrations, the first is {'.'.join(missing[0])}: "
            f"run `python -m {service} migrate`"
        )


def ours() -> list[Migration]:
    """The migrations of the installed apps, in the order of the apps and of their numbers.

    Django's own loader imports every one of them and with them all models, which takes 25 MiB.
    """
    return [
        (app.rpartition(".")[2], name) for app in settings.INSTALLED_APPS for name in _names(app)
    ]


def _names(app: str) -> list[str]:
    found = find_spec(app)
    folders = [
        f"{place}/migrations" for place in (found and found.submodule_search_locations) or ()
    ]
    return sorted(one.name for one in iter_modules(folders) if not one.ispkg and one.name[0] != "_")


def _applied(line: psycopg.Connection) -> set[Migration]:
    try:
        return {(app, name) for app, name in line.execute(APPLIED)}
    except psycopg.errors.UndefinedTable:
        return set()
