from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models

from compute_horde.django.job_record import STATES

UNFINISHED = (
    "sent",
    "received",
    "accepted",
    "executor_ready",
    "volumes_ready",
    "streaming_ready",
    "execution_done",
)


class Migration(migrations.Migration):
    # Indexes are built without blocking writers.
    atomic = False

    dependencies = [
        ("facilitator", "0007_bindings"),
    ]

    operations = [
        AddIndexConcurrently(
            "job", models.Index(fields=["hotkey", "-created_at", "uuid"], name="job_of_owner")
        ),
        RemoveIndexConcurrently("job", "job_by_owner"),
        AddIndexConcurrently(
            "job", models.Index(fields=["hotkey", "tag", "-created_at", "uuid"], name="job_by_tag")
        ),
        AddIndexConcurrently(
            "job",
            models.Index(
                fields=["validator"],
                name="job_being_cancelled",
                condition=~models.Q(cancel_request="")
                & (models.Q(state__in=UNFINISHED) | models.Q(cancel_told_to="")),
            ),
        ),
        RemoveIndexConcurrently("job", "job_to_cancel"),
        # Without the second index, for patterns, that `db_index` makes.
        AddIndexConcurrently("job", models.Index(fields=["state"], name="job_by_state")),
        migrations.AlterField("job", "state", models.CharField(max_length=32, choices=STATES)),
        # No query uses its index.
        migrations.AlterField("job", "overdue_at", models.DateTimeField()),
    ]
