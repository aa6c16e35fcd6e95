from django.db import migrations

# Earlier versions stored a text only; who was at fault is not known of them.
OUTCOMES = """
UPDATE synthetic_puzzle SET outcome = CASE
    WHEN points > 0 THEN 'correct'
    WHEN verdict = 'wrong answer' THEN 'wrong_answer'
    WHEN verdict LIKE 'busy:%' THEN 'declined_busy'
    ELSE 'miner_failed' END
WHERE verdict <> ''
"""


class Migration(migrations.Migration):

    dependencies = [
        ('synthetic', '0002_attempts_and_slots'),
    ]

    operations = [
        migrations.RunSQL(OUTCOMES, migrations.RunSQL.noop),
    ]
