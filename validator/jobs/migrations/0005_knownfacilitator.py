import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("jobs", "0004_created_at_index"),
    ]

    operations = [
        migrations.CreateModel(
            name="KnownFacilitator",
            fields=[
                ("url", models.CharField(max_length=500, primary_key=True, serialize=False)),
                ("challenges_since", models.DateTimeField(default=django.utils.timezone.now)),
            ],
        ),
    ]
