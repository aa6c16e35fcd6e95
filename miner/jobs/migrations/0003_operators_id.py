"""`miner_acceptedjob.id`, which grows with acceptance, and an index on `created_at`."""

from django.db import migrations, models
from django.db.models import Func, Value

SEQUENCE = "miner_acceptedjob_id_seq"
NUMBER_EARLIER_ROWS = """
    UPDATE miner_acceptedjob SET id = ordered.place
    FROM (
        SELECT uuid, row_number() OVER (ORDER BY created_at, uuid) AS place FROM miner_acceptedjob
    ) AS ordered
    WHERE ordered.uuid = miner_acceptedjob.uuid
"""


def number(**options: object) -> models.BigIntegerField:
    return models.BigIntegerField(
        db_column="id",
        db_default=Func(Value(SEQUENCE), function="nextval"),
        editable=False,
        help_text="grows with acceptance",
        **options,
    )


class Migration(migrations.Migration):
    dependencies = [("jobs", "0002_cancelled")]

    operations = [
        migrations.RunSQL(f"CREATE SEQUENCE {SEQUENCE}", f"DROP SEQUENCE {SEQUENCE}"),
        migrations.AddField("job", "number", number()),
        migrations.RunSQL(NUMBER_EARLIER_ROWS, migrations.RunSQL.noop),
        migrations.AlterField("job", "number", number(unique=True)),
        migrations.AlterField(
            "job", "created_at", models.DateTimeField(auto_now_add=True, db_index=True)
        ),
    ]
