"""Where the service's database is, read from Django's settings without loading Django's models."""

from typing import Any

from django.db import connections

# The names of libpq's parameters, by those of Django's settings.
NAMES = {
    "NAME": "dbname",
    "USER": "user",
    "PASSWORD": "password",
    "HOST": "host",
    "PORT": "port",
}


def connection_parameters() -> dict[str, Any]:
    """The parameters of `psycopg.connect` for the default database.

    Django's own `get_connection_params` has them too, but imports all of Django's models, which
    takes 12 MiB and 0.5 s that a process without models need not spend.
    """
    settings = connections.settings["default"]
    return {ours: str(settings[theirs]) for theirs, ours in NAMES.items() if settings.get(theirs)}
