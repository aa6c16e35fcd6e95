from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # Indexes are built without blocking writers.
    atomic = False

    dependencies = [
        ("receipts", "0004_fetched_receipts"),
    ]

    operations = [
        AddIndexConcurrently(
            "issuedreceipt",
            models.Index(fields=["miner_hotkey", "issued_at"], name="issued_to_miner"),
        ),
        migrations.AlterField(
            "issuedreceipt",
            "miner_hotkey",
            models.CharField(max_length=64),
        ),
    ]
