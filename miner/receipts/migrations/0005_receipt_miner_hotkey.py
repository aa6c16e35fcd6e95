from django.db import migrations, models


class Migration(migrations.Migration):
    # Earlier rows are filled by the next migration, without this one's lock of the table.
    dependencies = [
        ("receipts", "0004_excuses_index"),
    ]

    operations = [
        migrations.AddField(
            model_name="receipt",
            name="miner_hotkey",
            field=models.CharField(db_default="", max_length=48),
        ),
    ]
