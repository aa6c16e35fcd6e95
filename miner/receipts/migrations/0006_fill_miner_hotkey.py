from django.db import migrations

# Receipts name their miner, also those of before the column. They are searched as text: quotes
# inside a string of JSON are escaped, so no string looks like the key.
FILL = r"""
DO $fill$
DECLARE
    done bigint := 0;
    upto bigint;
BEGIN
    LOOP
        SELECT max(id) INTO upto FROM (
            SELECT id FROM miner_receipt WHERE id > done ORDER BY id LIMIT 1000
        ) AS batch;
        EXIT WHEN upto IS NULL;
        UPDATE miner_receipt
        SET miner_hotkey = substring(body from '"miner_hotkey": ?"(\w{1,48})"')
        WHERE id > done AND id <= upto AND miner_hotkey = ''
            AND body ~ '"miner_hotkey": ?"\w{1,48}"';
        COMMIT;
        done := upto;
    END LOOP;
END
$fill$
"""


class Migration(migrations.Migration):
    # Each batch is a transaction, so that receipts are stored meanwhile.
    atomic = False

    dependencies = [
        ("receipts", "0005_receipt_miner_hotkey"),
    ]

    operations = [
        migrations.RunSQL([FILL], migrations.RunSQL.noop),
    ]
