from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # Indexes are built without blocking writers.
    atomic = False

    dependencies = [
        ("network", "0003_main_hotkeys"),
    ]

    operations = [
        AddIndexConcurrently(
            "snapshot", models.Index(fields=["block", "id"], name="snapshot_by_block")
        ),
    ]
