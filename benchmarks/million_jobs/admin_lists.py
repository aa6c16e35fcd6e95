"""The admin's lists, as its pages show them to a superuser."""

from collections.abc import Callable, Mapping, Sequence

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse

from benchmarks.million_jobs.measuring import ADMIN_MILLISECONDS, Case


def admin_lists(searches: Mapping[str, Sequence[str]]) -> list[Case]:
    """Each model's list, and further ones by the query strings in `searches`, by model."""
    user, _ = get_user_model().objects.get_or_create(
        username="bench", is_staff=True, is_superuser=True
    )
    client = Client(SERVER_NAME="127.0.0.1")
    client.force_login(user)
    cases = []
    for model in admin.site._registry:
        label = f"{model._meta.app_label}.{model._meta.object_name}"
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for query in ("", *searches.get(label, ())):
            case = Case(f"admin {label} {query}", _page(client, url + query), ADMIN_MILLISECONDS)
            cases.append(case)
    return cases


def _page(client: Client, url: str) -> Callable[[], None]:
    def read() -> None:
        response = client.get(url)
        if response.status_code != 200:
            raise RuntimeError(f"{url}: status {response.status_code}")

    return read
