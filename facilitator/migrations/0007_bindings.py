import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("facilitator", "0006_validator_logins"),
    ]

    operations = [
        migrations.CreateModel(
            name="BindingSigner",
            fields=[
                ("hotkey", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("since", models.DateTimeField(default=django.utils.timezone.now)),
            ],
        ),
        migrations.AddField(
            model_name="job",
            name="request_nonce",
            field=models.CharField(max_length=64, null=True),
        ),
        migrations.AddConstraint(
            model_name="job",
            constraint=models.UniqueConstraint(
                fields=("hotkey", "request_nonce"), name="each_nonce_once"
            ),
        ),
    ]
