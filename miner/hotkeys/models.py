"""The main hotkey of each cycle, and orders of the operator that change it."""

from django.db import models

from miner.validators.models import SS58_LENGTH


class CycleMainHotkey(models.Model):
    """The main hotkey of a cycle, which validators are told when they ask; the newest is present.

    Written when the cycle begins; only an order for the present cycle changes it later.
    """

    class Source(models.TextChoices):
        """Why it is this hotkey."""

        SCHEDULE = "schedule", "by MINER_MAIN_HOTKEYS"
        ORDER = "order", "by order of the operator"

    cycle_start = models.BigIntegerField(unique=True, help_text="first block of the cycle")
    cycle_stop = models.BigIntegerField(help_text="first block of the next cycle")
    number = models.BigIntegerField(help_text="of the cycle, which schedules count")
    hotkey = models.CharField(max_length=SS58_LENGTH)
    source = models.CharField(max_length=16, choices=Source.choices)
    began_at = models.DateTimeField(auto_now_add=True, help_text="when the cycle was first seen")
    decided_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "miner_cyclemainhotkey"
        verbose_name = "main hotkey of a cycle"
        verbose_name_plural = "main hotkeys of cycles"
        ordering = ["-cycle_start"]

    def __str__(self) -> str:
        return f"{self.hotkey} from block {self.cycle_start}"


class MainHotkeyOrder(models.Model):
    """An order of the operator; it holds from a block on, until the next order."""

    hotkey = models.CharField(
        max_length=SS58_LENGTH, blank=True, help_text="empty: by MINER_MAIN_HOTKEYS again"
    )
    from_block = models.BigIntegerField(help_text="first block of the first cycle")
    ordered_by = models.CharField(max_length=150, help_text="an admin account, or `command`")
    ordered_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "miner_mainhotkeyorder"
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.hotkey or 'schedule'} from block {self.from_block}"
