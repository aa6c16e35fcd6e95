from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("jobs", "0006_bindingsigner"),
    ]

    operations = [
        migrations.AddField(
            model_name="job",
            name="nonce_digest",
            field=models.CharField(
                help_text="a nonce is used once, too", max_length=64, null=True, unique=True
            ),
        ),
        # Until now bound requests had the digest of their nonce as that of the request.
        migrations.RunSQL(
            "UPDATE jobs_job SET nonce_digest = request_digest WHERE request_digest IS NOT NULL",
            migrations.RunSQL.noop,
        ),
    ]
