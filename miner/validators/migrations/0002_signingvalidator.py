import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("validators", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="SigningValidator",
            fields=[
                ("hotkey", models.CharField(max_length=48, primary_key=True, serialize=False)),
                ("since", models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                "db_table": "miner_signingvalidator",
                "ordering": ["hotkey"],
            },
        ),
    ]
