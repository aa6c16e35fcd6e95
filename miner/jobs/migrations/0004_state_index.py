from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

from compute_horde.django.job_record import STATES


class Migration(migrations.Migration):
    # Indexes are built without blocking writers.
    atomic = False

    dependencies = [
        ("jobs", "0003_operators_id"),
    ]

    operations = [
        # Without the second index, for patterns, that `db_index` makes.
        AddIndexConcurrently("job", models.Index(fields=["state"], name="acceptedjob_by_state")),
        migrations.AlterField("job", "state", models.CharField(max_length=32, choices=STATES)),
    ]
