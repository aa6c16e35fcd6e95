"""The validators known to this miner, and blacklisted ones."""

from django.db import models
from django.utils import timezone

SS58_LENGTH = 48


class Validator(models.Model):
    """A validator, which may log in while it is `active`."""

    hotkey = models.CharField(max_length=SS58_LENGTH, primary_key=True)
    active = models.BooleanField(default=True)
    pinned = models.BooleanField(
        default=False, help_text="stays active whatever the chain says of its stake"
    )
    stake = models.DecimalField(
        max_digits=20, decimal_places=9, null=True, help_text="TAO, when last seen"
    )
    refreshed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "miner_validator"
        ordering = ["-active", "hotkey"]

    def __str__(self) -> str:
        return self.hotkey


class SigningValidator(models.Model):
    """A validator that has signed a job request; from then on it must sign all of them.

    Deleting the row allows unsigned requests until the next signed one.
    """

    hotkey = models.CharField(max_length=SS58_LENGTH, primary_key=True)
    since = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "miner_signingvalidator"
        ordering = ["hotkey"]

    def __str__(self) -> str:
        return self.hotkey


class ValidatorBlacklist(models.Model):
    """A validator whose jobs are all declined."""

    hotkey = models.CharField(max_length=SS58_LENGTH, unique=True)
    reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "miner_validatorblacklist"
        verbose_name = "blacklisted validator"
        ordering = ["hotkey"]

    def __str__(self) -> str:
        return self.hotkey
