from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # Indexes are built without blocking writers.
    atomic = False

    dependencies = [
        ("weights", "0002_submissions"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="weightsset",
            options={
                "ordering": ["-cycle_start"],
                "permissions": [("set_weights", "Can have weights set now")],
                "verbose_name_plural": "weights set",
            },
        ),
        AddIndexConcurrently(
            "weightsset", models.Index(fields=["earned_in"], name="weights_by_paid_cycle")
        ),
    ]
