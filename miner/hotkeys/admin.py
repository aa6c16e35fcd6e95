"""The admin page that shows and changes the main hotkey."""

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from compute_horde import signing
from compute_horde.django.admin_columns import hotkey
from compute_horde.django.read_only_admin import ReadOnlyAdmin
from miner.hotkeys import actions
from miner.hotkeys.models import CycleMainHotkey, MainHotkeyOrder

# The template and the link in `base_site.html` ask for the same.
VIEW, ORDER = "hotkeys.view_mainhotkeyorder", "hotkeys.add_mainhotkeyorder"


class MainHotkeyForm(forms.Form):
    """Another main hotkey, or the schedule again."""

    hotkey = forms.CharField(
        required=False,
        max_length=64,
        help_text="from the next cycle on; empty: follow MINER_MAIN_HOTKEYS again",
        widget=forms.TextInput(attrs={"size": 60, "list": "hotkeys", "autocomplete": "off"}),
    )
    at_once = forms.BooleanField(
        required=False,
        label="in the present cycle too",
        help_text="validators ask once per cycle: some may have the present answer already",
    )

    def clean_hotkey(self) -> str:
        """The address of a hotkey, or nothing."""
        given = str(self.cleaned_data["hotkey"]).strip()
        if given and (problem := signing.address_problem(given)):
            raise forms.ValidationError(f"{given} {problem}")
        return given


def main_hotkey_page(request: ASGIRequest) -> HttpResponse:
    """The page: the main hotkeys of the last cycles, and the form to order another one."""
    if not request.user.has_perm(ORDER if request.method == "POST" else VIEW):
        raise PermissionDenied
    miner = request.scope["miner"]
    schedule = miner.main_hotkey.schedule
    form = MainHotkeyForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        given = actions.order(
            form.cleaned_data["hotkey"],
            schedule,
            by=request.user.get_username(),
            at_once=form.cleaned_data["at_once"],
        )
        messages.success(request, f"Ordered: {given}")
        return HttpResponseRedirect(reverse("main_hotkey"))
    cycles = list(CycleMainHotkey.objects.all()[:10])
    context = {
        **admin.site.each_context(request),
        "title": "Main hotkey",
        "form": form,
        "cycles": cycles,
        "present": actions.main_hotkey(schedule),
        "next": actions.next_main_hotkey(cycles[0], schedule) if cycles else "",
        "offers": [
            (one.ss58_address, one.port, sorted(miner.offers.manifest(one.ss58_address).items()))
            for one in miner.served
        ],
        "orders": list(MainHotkeyOrder.objects.all()[:10]),
    }
    return TemplateResponse(request, "admin/main_hotkey.html", context)


@admin.register(MainHotkeyOrder)
class MainHotkeyOrderAdmin(ReadOnlyAdmin):
    """All orders, newest first: who changed the main hotkey, and when."""

    list_display = ("ordered_at", "ordered_by", hotkey("hotkey"), "from_block")
