"""Settings that all services share."""

import logging.config

import pytest

from compute_horde.django import settings


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("postgresql://u:p@h:5433/n", ("u", "p", "h", "5433", "n")),
        ("postgresql://u%40x:p%2F%3A%23@h:1/n", ("u@x", "p/:#", "h", "1", "n")),
        ("postgresql:///n", ("", "", "", "", "n")),
    ],
)
def test_a_database_is_told_by_its_url(url, where):
    sent = settings.databases(url)["default"]
    assert tuple(sent[key] for key in ("USER", "PASSWORD", "HOST", "PORT", "NAME")) == where
    assert sent["ENGINE"] == "django.db.backends.postgresql"


@pytest.mark.parametrize("debug", [True, False])
def test_the_logging_can_be_configured_and_debug_shows_more(debug):
    config = settings.logging_config(debug=debug)
    assert config["root"]["level"] == ("DEBUG" if debug else "INFO")
    logging.config.DictConfigurator(config).configure_formatter(config["formatters"]["fields"])


def test_polls_of_pages_without_news_are_not_logged():
    for debug, level in ((True, "DEBUG"), (False, "ERROR")):
        assert settings.logging_config(debug=debug)["loggers"]["django.request"]["level"] == level


def test_the_admin_has_all_it_asks_for():
    assert "django.contrib.admin" in settings.ADMIN_APPS
    assert settings.templates()[0]["OPTIONS"]["context_processors"]
