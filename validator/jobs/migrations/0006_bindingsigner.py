import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("jobs", "0005_knownfacilitator"),
    ]

    operations = [
        migrations.CreateModel(
            name="BindingSigner",
            fields=[
                ("hotkey", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("since", models.DateTimeField(default=django.utils.timezone.now)),
            ],
        ),
    ]
