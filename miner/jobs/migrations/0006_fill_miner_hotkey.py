from django.db import migrations

# Offers name the hotkey that they were sent to, also those of before the column. They are searched
# as text: PostgreSQL cannot read strings of JSON that hold NUL, and strangers wrote them. Quotes
# inside a string are escaped, so no string looks like the key.
FILL = r"""
DO $fill$
DECLARE
    done bigint := 0;
    upto bigint;
BEGIN
    LOOP
        SELECT max(id) INTO upto FROM (
            SELECT id FROM miner_acceptedjob WHERE id > done ORDER BY id LIMIT 1000
        ) AS batch;
        EXIT WHEN upto IS NULL;
        UPDATE miner_acceptedjob
        SET miner_hotkey = substring(
            offered from '"job_started_receipt_payload": ?{[^{}]*"miner_hotkey": ?"(\w{1,48})"'
        )
        WHERE id > done AND id <= upto AND miner_hotkey = ''
            AND offered ~ '"job_started_receipt_payload": ?{[^{}]*"miner_hotkey": ?"\w{1,48}"';
        COMMIT;
        done := upto;
    END LOOP;
END
$fill$
"""


class Migration(migrations.Migration):
    # Each batch is a transaction, so that jobs are accepted and ended meanwhile.
    atomic = False

    dependencies = [
        ("jobs", "0005_job_miner_hotkey"),
    ]

    operations = [
        migrations.RunSQL([FILL], migrations.RunSQL.noop),
    ]
