"""How an operator describes a job."""

import shlex
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.handshake import TRUSTED_MINER_HOTKEY
from compute_horde.protocol.job import JobRequested
from validator.config import config
from validator.jobs.actions import new_uuid
from validator.jobs.models import CLASSES, Job
from validator.network.models import Neuron

LONGEST_SECONDS = 24 * 3600


def _miners() -> list[tuple[str, str]]:
    serving = Neuron.objects.filter(registered=True, port__gt=0)
    known = [(neuron.hotkey, f"{neuron.hotkey} ({neuron.ip}:{neuron.port})") for neuron in serving]
    return [("", "any"), *known]


class OrderForm(forms.ModelForm):
    """A job of the operator's own, for one miner or any."""

    docker_image = forms.CharField(max_length=512, initial="computehorde/busybox")
    args = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="as on a command line",
    )
    env = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="KEY=VALUE, one per line",
    )
    executor_class = forms.ChoiceField(choices=CLASSES, initial=ExecutorClass.always_on__test)
    wanted_miner = forms.ChoiceField(choices=_miners, required=False, label="miner")
    on_trusted_miner = forms.BooleanField(required=False, label="on the trusted miner")
    artifacts_dir = forms.CharField(
        required=False, max_length=255, help_text="its files come back, for example /artifacts"
    )
    download_time_limit = forms.IntegerField(min_value=0, max_value=LONGEST_SECONDS, initial=30)
    execution_time_limit = forms.IntegerField(min_value=0, max_value=LONGEST_SECONDS, initial=60)
    upload_time_limit = forms.IntegerField(min_value=0, max_value=LONGEST_SECONDS, initial=30)

    class Meta:
        model = Job
        fields = ["docker_image", "executor_class", "wanted_miner"]

    def clean_args(self) -> list[str]:
        """As a shell would split them."""
        try:
            return shlex.split(self.cleaned_data["args"])
        except ValueError as exc:
            raise ValidationError(f"cannot be split: {exc}") from exc

    def clean_env(self) -> dict[str, str]:
        """As a mapping."""
        lines = [line for line in self.cleaned_data["env"].splitlines() if line.strip()]
        if wrong := [line for line in lines if "=" not in line]:
            raise ValidationError(f"not KEY=VALUE: {wrong[0]}")
        return dict(line.strip().split("=", 1) for line in lines)

    def clean(self) -> dict[str, Any]:
        """One choice of miner only, and one that exists."""
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("on_trusted_miner"):
            if cleaned.get("wanted_miner"):
                raise ValidationError("Choose a miner or the trusted miner, not both.")
            if not config.trusted_miner_address:
                raise ValidationError("This validator has no trusted miner.")
        return cleaned

    @property
    def miner(self) -> str:
        """Who shall do it; empty for anybody."""
        if self.cleaned_data["on_trusted_miner"]:
            return TRUSTED_MINER_HOTKEY
        return self.cleaned_data["wanted_miner"]

    def request(self) -> JobRequested:
        """The job as the listener will read it."""
        asked = self.cleaned_data
        return JobRequested(
            uuid=new_uuid(),
            executor_class=asked["executor_class"],
            docker_image=asked["docker_image"],
            args=asked["args"],
            env=asked["env"],
            artifacts_dir=asked["artifacts_dir"] or None,
            on_trusted_miner=asked["on_trusted_miner"],
            download_time_limit=asked["download_time_limit"],
            execution_time_limit=asked["execution_time_limit"],
            upload_time_limit=asked["upload_time_limit"],
            streaming_start_time_limit=0,
        )
