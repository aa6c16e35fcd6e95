"""The database model of the actions that operators confirmed in the admin: their audit."""

from compute_horde.django.action_record import ActionRecord


class OperatorAction(ActionRecord):
    """One confirmed action: a batch, a recomputation of scores, or a try to set weights."""

    class Meta(ActionRecord.Meta):
        verbose_name = "operator's action"
