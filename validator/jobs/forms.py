"""The admin form with which an operator creates a job."""

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

MAX_SECONDS = 24 * 3600


def _miners() -> list[tuple[str, str]]:
    serving = Neuron.objects.filter(registered=True, port__gt=0)
    known = [(neuron.hotkey, f"{neuron.hotkey} ({neuron.ip}:{neuron.port})") for neuron in serving]
    return [("", "any"), *known]


class AdminJobForm(forms.ModelForm):
    """An operator's own job, for one miner or any."""

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
    download_time_limit = forms.IntegerField(min_value=0, max_value=MAX_SECONDS, initial=30)
    execution_time_limit = forms.IntegerField(min_value=0, max_value=MAX_SECONDS, initial=60)
    upload_time_limit = forms.IntegerField(min_value=0, max_value=MAX_SECONDS, initial=30)

    class Meta:
        model = Job
        fields = ["docker_image", "executor_class", "wanted_miner"]

    def clean_args(self) -> list[str]:
        """Split the arguments like a shell."""
        try:
            return shlex.split(self.cleaned_data["args"])
        except ValueError as exc:
            raise ValidationError(f"cannot be split: {exc}") from exc

    def clean_env(self) -> dict[str, str]:
        """Parse the lines into a mapping."""
        lines = [line for line in self.cleaned_data["env"].splitlines() if line.strip()]
        if wrong := [line for line in lines if "=" not in line]:
            raise ValidationError(f"not KEY=VALUE: {wrong[0]}")
        return dict(line.strip().split("=", 1) for line in lines)

    def clean(self) -> dict[str, Any]:
        """Check that at most one miner is chosen and that the trusted miner exists."""
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("on_trusted_miner"):
            if cleaned.get("wanted_miner"):
                raise ValidationError("Choose a miner or the trusted miner, not both.")
            if not config.trusted_miner_address:
                raise ValidationError("This validator has no trusted miner.")
        return cleaned

    @property
    def miner(self) -> str:
        """The hotkey of the chosen miner; empty for any."""
        if self.cleaned_data["on_trusted_miner"]:
            return TRUSTED_MINER_HOTKEY
        wanted: str = self.cleaned_data["wanted_miner"]
        return wanted

    def request(self) -> JobRequested:
        """The job request that the listener will read."""
        values = self.cleaned_data
        return JobRequested(
            uuid=new_uuid(),
            executor_class=values["executor_class"],
            docker_image=values["docker_image"],
            args=values["args"],
            env=values["env"],
            artifacts_dir=values["artifacts_dir"] or None,
            on_trusted_miner=values["on_trusted_miner"],
            download_time_limit=values["download_time_limit"],
            execution_time_limit=values["execution_time_limit"],
            upload_time_limit=values["upload_time_limit"],
            streaming_start_time_limit=0,
        )
