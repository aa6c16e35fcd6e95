from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("facilitator", "0005_created_at_index"),
    ]

    operations = [
        migrations.AddField(
            model_name="validator",
            name="challenged_since",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="validator",
            name="conflicts",
            field=models.IntegerField(default=0, editable=False),
        ),
        migrations.AddField(
            model_name="validator",
            name="last_conflict",
            field=models.CharField(blank=True, editable=False, max_length=500),
        ),
        migrations.AddField(
            model_name="validator",
            name="last_conflict_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
    ]
