"""Empties the database after a test whose changes other threads and processes see."""

from django.db import connection
from django.test import TransactionTestCase

# Rows of models that `migrate` makes, and no test changes.
_KEPT = frozenset({"auth_permission", "django_content_type"})
# A table of more bytes is truncated, since deleted rows would remain in its file for a while. Other
# tables are emptied faster row by row: truncating makes new files for a table and each index.
_TRUNCATED_BYTES = 2**18


def install() -> None:
    """Let all transactional tests of this process empty their tables so.

    Django truncates all tables and makes the kept rows anew, which takes ten times as long.
    """
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    tables = sorted(connection.ops.quote_name(name) for name in set(names) - _KEPT)
    statement = _statement(tables)

    def empty(_test: TransactionTestCase) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    TransactionTestCase._fixture_teardown = empty  # type: ignore[attr-defined]


def _statement(tables: list[str]) -> str:
    """One that waits for everybody who writes, then empties these tables in one transaction."""
    deletes = "".join(f"DELETE FROM {table};\n" for table in tables)
    return f"""
    DO $$
    DECLARE
        large text;
    BEGIN
        LOCK TABLE {", ".join(tables)} IN SHARE ROW EXCLUSIVE MODE;
        SELECT string_agg(name, ', ') INTO large
            FROM unnest(ARRAY[{", ".join(f"'{table}'" for table in tables)}]) AS name
            WHERE pg_relation_size(name::regclass) > {_TRUNCATED_BYTES};
        IF large IS NOT NULL THEN
            EXECUTE 'TRUNCATE ' || large || ' CASCADE';
        END IF;
        {deletes}
    END $$
    """
