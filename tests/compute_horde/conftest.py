"""Hypothesis settings without time limits: machines that run these tests may be busy."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

# These need `--ds tests.compute_horde.django.settings`.
if "DJANGO_SETTINGS_MODULE" not in os.environ:
    collect_ignore = ["django"]
