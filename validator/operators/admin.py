"""The audit of what operators did in the admin."""

from django.contrib import admin

from compute_horde.django.action_record_admin import ActionRecordAdmin
from validator.operators.models import OperatorAction

admin.site.register(OperatorAction, ActionRecordAdmin)
