"""The tests of these packages that need Django settings are run with them only."""

import os

# These need `--ds tests.compute_horde.django.settings`.
if "DJANGO_SETTINGS_MODULE" not in os.environ:
    collect_ignore = ["django"]
