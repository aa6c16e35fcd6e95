"""The limit on login attempts in the admin, through the whole of Django."""

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.test.client import ClientHandler

from compute_horde.django import login_throttle
from compute_horde.django.login_throttle import (
    LOGIN_PATH,
    TRIES_AT_ONCE,
    TRIES_OF_ALL_AT_ONCE,
)

DEVICE, CSRF = "facilitator_device", "facilitator_csrf"


class Site:
    """A process that serves the admin, and what browsers send to it."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begin anew, with nothing in memory."""
        self._handler = ClientHandler(enforce_csrf_checks=True)

    def browser(self, address: str) -> Client:
        browser = Client(REMOTE_ADDR=address)
        browser.handler = self._handler
        return browser

    def log_in(self, browser: Client, password: str = "wrong", user: str = "root"):
        browser.handler = self._handler
        browser.get(LOGIN_PATH)
        token = browser.cookies[CSRF].value
        form = {"username": user, "password": password, "csrfmiddlewaretoken": token}
        return browser.post(LOGIN_PATH, form)

    def status(self, address: str, password: str = "wrong") -> int:
        return self.log_in(self.browser(address), password).status_code

    def flood(self) -> None:
        """Strangers use up the tries of all."""
        statuses = [self.status(f"1.2.{n}.4") for n in range(TRIES_OF_ALL_AT_ONCE + 5)]
        assert statuses.count(429) >= 5
        assert self.status("1.3.1.1") == 429


@pytest.fixture
def site(db: None, monkeypatch) -> Site:
    """A site with a stopped clock."""
    monkeypatch.setattr(login_throttle, "monotonic", lambda: 0.0)
    get_user_model().objects.create_superuser("root", password="right")
    return Site()


def test_after_some_tries_passwords_are_no_longer_looked_at(site):
    assert {site.status("1.2.3.4") for _ in range(TRIES_AT_ONCE)} == {200}
    refused = site.log_in(site.browser("1.2.3.4"), "right")
    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= 60
    assert b"SSH tunnel" in refused.content
    assert site.browser("1.2.3.4").get(LOGIN_PATH).status_code == 200
    assert site.status("1.2.3.5", "right") == 302


def test_an_ipv6_network_is_one_address(site):
    for n in range(TRIES_AT_ONCE):
        site.status(f"2001:db8::{n:x}")
    assert site.status("2001:db8::ffff") == 429


def test_strangers_do_not_lock_out_a_browser_that_somebody_logged_in_with_before(site):
    known = site.browser("9.9.9.9")
    assert site.log_in(known, "right").status_code == 302
    site.flood()
    assert site.log_in(known, "right").status_code == 302
    # Nor after a restart, nor where all come from one address, as behind an unnamed proxy.
    site.start()
    site.flood()
    assert site.log_in(known, "right").status_code == 302
    while site.status("9.9.9.9") != 429:
        pass
    assert site.log_in(known, "right").status_code == 302


def test_strangers_do_not_lock_out_who_is_on_this_machine(site):
    site.flood()
    assert site.status("127.0.0.1", "right") == 302
    assert site.status("::1", "right") == 302


def test_what_is_no_form_of_ours_is_no_try(site):
    stranger = site.browser("1.2.3.4")
    form = {"username": "root", "password": "right"}
    refused = {stranger.post(LOGIN_PATH, form).status_code for _ in range(TRIES_OF_ALL_AT_ONCE + 5)}
    assert refused == {403}
    assert site.status("1.2.3.4", "right") == 302


def test_the_cookie_of_a_browser_is_for_its_user_and_its_tries_alone(site):
    get_user_model().objects.create_superuser("other", password="right")
    known = site.browser("9.9.9.9")
    site.log_in(known, "right")
    cookie = known.cookies[DEVICE]
    assert cookie["httponly"]
    assert (cookie["path"], cookie["samesite"]) == (LOGIN_PATH, "Strict")
    site.flood()
    assert site.log_in(known, "right", user="other").status_code == 429
    assert {site.log_in(known).status_code for _ in range(TRIES_AT_ONCE)} == {200}
    assert site.log_in(known, "right").status_code == 429


def test_a_cookie_that_we_did_not_sign_is_worth_nothing(site):
    site.flood()
    for cookie in ("", "x", "e30:x:x", "eyJ1c2VyIjoicm9vdCIsImlkIjoiIn0:1:x"):
        forged = site.browser("9.9.9.9")
        forged.cookies[DEVICE] = cookie
        assert site.log_in(forged, "right").status_code == 429, cookie
