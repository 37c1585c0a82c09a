"""The settings of the webhook."""

from __future__ import annotations

import base64

import pytest

from pipeline.core.errors import SettingsError
from pipeline.core.settings import Settings

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
URL = "https://ops.example.com/hooks/1"


def settings(url: str | None = URL, secret: str | None = SECRET, **more: str) -> Settings:
    given = {"WORKBENCH_WEBHOOK_URL": url, "WORKBENCH_WEBHOOK_SECRET": secret, **more}
    return Settings.from_environment({name: value for name, value in given.items() if value is not None})


def test_both_or_neither_are_set() -> None:
    assert settings(None, None).webhook.url is None
    assert settings("", "").webhook.url == ""
    assert (settings().webhook.url, settings().webhook.timeout_seconds) == (URL, 10)
    assert settings(WORKBENCH_WEBHOOK_TIMEOUT_SECONDS="3").webhook.timeout_seconds == 3
    with pytest.raises(SettingsError, match="WORKBENCH_WEBHOOK_SECRET is not"):
        settings(secret=None)
    with pytest.raises(SettingsError, match="WORKBENCH_WEBHOOK_URL is not"):
        settings(url=None)


@pytest.mark.parametrize(
    "url", ["http://localhost:8080/x", "http://127.0.0.1/x", "http://127.9.9.9/x", "http://[::1]:9/x", "https://[::1]/"]
)
def test_plain_http_is_for_this_machine(url: str) -> None:
    assert settings(url).webhook.url == url


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://ops.example.com/x",
            "http://10.0.0.1/x",
            "http://localhost.example.com/",
            "http://127.0.0.1.evil.com/",
        ),
        *("ftp://ops.example.com/", "ops.example.org", "https:///", "https:///x", "https://h:port/", "https://[::1/x"),
        *("https://user@h/x", "https://user:pw@h/x", "https://h/a b", "https://h/\n", "https://bücher.example/"),
    ],
)
def test_no_other_address_is_taken_and_the_error_does_not_repeat_it(url: str) -> None:
    with pytest.raises(SettingsError, match="WORKBENCH_WEBHOOK_URL") as caught:
        settings(url)
    assert url not in str(caught.value)


@pytest.mark.parametrize(
    ("key_bytes", "taken"), [(0, False), (23, False), (24, True), (64, True), (65, False)], ids=lambda value: str(value)
)
def test_a_key_has_as_many_bytes_as_the_specification_says(key_bytes: int, taken: bool) -> None:
    secret = "whsec_" + base64.b64encode(b"k" * key_bytes).decode()
    if taken:
        assert settings(secret=secret).webhook.secret == secret
        return
    with pytest.raises(SettingsError, match="WORKBENCH_WEBHOOK_SECRET"):
        settings(secret=secret)


@pytest.mark.parametrize(
    "secret", [SECRET.removeprefix("whsec_"), SECRET[:-1], SECRET + "!", "whsec_hunter2", "hunter2ü"]
)
def test_a_malformed_secret_is_refused_with_a_remedy_and_not_repeated(secret: str) -> None:
    with pytest.raises(SettingsError, match="openssl rand") as caught:
        settings(secret=secret)
    assert secret not in str(caught.value)


@pytest.mark.parametrize("seconds", ["0", "301", "soon"])
def test_a_time_out_is_some_seconds(seconds: str) -> None:
    with pytest.raises(SettingsError, match="timeout_seconds"):
        settings(WORKBENCH_WEBHOOK_TIMEOUT_SECONDS=seconds)


def test_a_misspelt_setting_is_named() -> None:
    with pytest.raises(SettingsError, match="uri"):
        settings(WORKBENCH_WEBHOOK_URI="x")
