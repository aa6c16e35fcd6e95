from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

from compute_horde.django.job_record import STATES


class Migration(migrations.Migration):
    # Indexes are built without blocking writers.
    atomic = False

    dependencies = [
        ("jobs", "0007_nonce_digest"),
    ]

    operations = [
        AddIndexConcurrently(
            "job", models.Index(fields=["state", "kind"], name="job_by_state")
        ),
        # The index above replaces that of `state` alone.
        migrations.AlterField("job", "state", models.CharField(max_length=32, choices=STATES)),
    ]
