"""Access to `/metrics`, which reveals a service's income and load."""

from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from pydantic import SecretStr


def refuse_metrics(
    request: HttpRequest, token: SecretStr | None, setting: str
) -> HttpResponse | None:
    """The response for a request without access, or None; `setting` names the token's setting."""
    if token is None:
        text = f"metrics are off: set {setting} and send it as `Authorization: Bearer …`"
        return HttpResponse(text, status=404, content_type="text/plain")
    given = request.headers.get("Authorization", "")
    if constant_time_compare(given, f"Bearer {token.get_secret_value()}"):
        return None
    text = f"send `Authorization: Bearer …` with the value of {setting}"
    headers = {"WWW-Authenticate": "Bearer"}
    return HttpResponse(text, status=401, content_type="text/plain", headers=headers)
