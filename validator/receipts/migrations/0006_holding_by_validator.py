from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    # Indexes are built without blocking writers.
    atomic = False

    dependencies = [
        ("receipts", "0005_issued_to_miner"),
    ]

    operations = [
        RemoveIndexConcurrently("receipt", "receipt_holding_executor"),
        AddIndexConcurrently(
            "receipt",
            models.Index(
                fields=["miner_hotkey", "validator_hotkey", "valid_until"],
                name="receipt_holding_executor",
                condition=Q(valid_until__isnull=False),
            ),
        ),
    ]
