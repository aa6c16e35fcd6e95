from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # Indexes are built without blocking writers.
    atomic = False

    dependencies = [
        ("receipts", "0003_intervals"),
    ]

    operations = [
        AddIndexConcurrently(
            "receipt",
            models.Index(
                fields=["excuses_until"],
                name="receipt_that_excuses",
                condition=models.Q(excuses_until__isnull=False),
            ),
        ),
    ]
