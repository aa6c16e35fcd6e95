"""Limits login attempts in the admin."""

import logging
import math
import secrets
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from threading import Lock
from time import monotonic
from typing import Any

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

from compute_horde.django.connection_limits import address_group
from compute_horde.rate_limit import RateLimit

log = logging.getLogger(__name__)

LOGIN_PATH = "/admin/login/"
# For one address, and for one browser with which a user has logged in before.
TRIES_AT_ONCE, TRIES_PER_MINUTE = 10, 5
# For all other addresses together: each attempt costs most of a CPU second.
TRIES_OF_ALL_AT_ONCE, TRIES_OF_ALL_PER_MINUTE = 60, 30
FOUND = 302
DEVICE_SECONDS = 365 * 86400


class LoginThrottle(MiddlewareMixin):
    """Responds with 429 after too many attempts, before the password is checked.

    A browser with which a user has logged in before has a signed cookie for that user's name and is
    counted separately, so strangers cannot use up its attempts. Loopback addresses are not affected
    by attempts from others either. Each process counts separately, in memory.
    """

    def __init__(
        self, get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]
    ) -> None:
        super().__init__(get_response)
        self._per_device = RateLimit(TRIES_PER_MINUTE, TRIES_AT_ONCE)
        self._per_address = RateLimit(TRIES_PER_MINUTE, TRIES_AT_ONCE)
        self._of_all = RateLimit(TRIES_OF_ALL_PER_MINUTE, TRIES_OF_ALL_AT_ONCE)
        # Requests run in several threads.
        self._lock = Lock()

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        """Count an attempt after the CSRF check and before it is made."""
        if not _is_login(request):
            return None
        wait = self._wait(request)
        if not wait:
            return None
        address = request.META.get("REMOTE_ADDR", "")
        log.warning("login refused: too many tries", extra={"address": address})
        seconds = math.ceil(wait)
        text = (
            f"Too many logins were tried. Try again in {seconds} s, or with a browser that you "
            "logged in with before, or on the machine that this runs on (an SSH tunnel will do)."
        )
        headers = {"Retry-After": str(seconds)}
        return HttpResponse(text, status=429, content_type="text/plain", headers=headers)

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Set the cookie in a browser whose user has logged in."""
        if _is_login(request) and response.status_code == FOUND and request.user.is_authenticated:
            device = {"user": request.user.get_username(), "id": secrets.token_hex(8)}
            response.set_cookie(
                settings.DEVICE_COOKIE_NAME,
                signing.dumps(device, salt=settings.DEVICE_COOKIE_NAME),
                max_age=DEVICE_SECONDS,
                path=LOGIN_PATH,
                secure=settings.SESSION_COOKIE_SECURE,
                httponly=True,
                samesite="Strict",
            )
        return response

    def _wait(self, request: HttpRequest) -> float:
        """Count an attempt; 0 if it is allowed, else the seconds until one is."""
        device, address = _device(request), request.META.get("REMOTE_ADDR", "")
        now = monotonic()
        with self._lock:
            if device:
                return self._per_device.take(device, now)
            wait = self._per_address.take(address_group(address), now)
            if not wait and not _is_this_machine(address):
                wait = self._of_all.take("", now)
            return wait


def _is_login(request: HttpRequest) -> bool:
    return request.method == "POST" and request.path == LOGIN_PATH


def _device(request: HttpRequest) -> str:
    """The id of the browser, if this user has logged in with it before, else empty."""
    name = settings.DEVICE_COOKIE_NAME
    try:
        device = signing.loads(request.COOKIES.get(name, ""), salt=name, max_age=DEVICE_SECONDS)
    except signing.BadSignature:
        return ""
    return str(device["id"]) if device["user"] == request.POST.get("username") else ""


def _is_this_machine(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
