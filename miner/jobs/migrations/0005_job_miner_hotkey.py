from django.db import migrations, models


class Migration(migrations.Migration):
    # Earlier rows are filled by the next migration, without this one's lock of the table.
    dependencies = [
        ("jobs", "0004_state_index"),
    ]

    operations = [
        migrations.AddField(
            model_name="job",
            name="miner_hotkey",
            field=models.CharField(
                db_default="", help_text="the one that the job was offered to", max_length=48
            ),
        ),
    ]
