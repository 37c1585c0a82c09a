"""The settings of Metabase, and the secret that is derived for it."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.embedding_secret import embedding_secret
from pipeline.core.errors import SettingsError
from pipeline.core.settings import Settings

SECRET = "s" * 32
URL = "http://metabase:3000"


def settings(**given: str) -> Settings:
    return Settings.from_environment({f"WORKBENCH_METABASE_{name.upper()}": value for name, value in given.items()})


def test_without_settings_there_is_no_metabase() -> None:
    metabase = settings().metabase
    assert (metabase.url, metabase.browser_url, metabase.token_seconds, metabase.origins()) == (None, None, 600, [])


def test_browsers_find_it_where_it_is_unless_told_otherwise() -> None:
    assert settings(url=f"{URL}/").metabase.browser_url == URL
    public = settings(url=URL, public_url="https://bi.example.com/metabase/").metabase
    assert (public.url, public.browser_url) == (URL, "https://bi.example.com/metabase")


def test_origins_are_listed_with_commas() -> None:
    origins = "https://app.example.com, http://localhost:5173"
    assert settings(url=URL, allowed_origins=origins).metabase.origins() == origins.split(", ")


@pytest.mark.parametrize(
    ("given_settings", "told"),
    [
        ({"public_url": URL}, "WORKBENCH_METABASE_URL is not"),
        ({"url": "metabase:3000"}, "WORKBENCH_METABASE_URL"),
        ({"url": "ftp://metabase"}, "WORKBENCH_METABASE_URL"),
        ({"url": "http://user:word@metabase"}, "WORKBENCH_METABASE_URL"),
        ({"url": URL, "public_url": f"{URL}/?a=b"}, "WORKBENCH_METABASE_PUBLIC_URL"),
        ({"url": URL, "public_url": f"{URL}#x"}, "WORKBENCH_METABASE_PUBLIC_URL"),
        ({"url": URL, "public_url": "https://bücher.example"}, "WORKBENCH_METABASE_PUBLIC_URL"),
        ({"url": URL, "allowed_origins": "https://a.example/path"}, "WORKBENCH_METABASE_ALLOWED_ORIGINS"),
        ({"url": URL, "allowed_origins": "*"}, "WORKBENCH_METABASE_ALLOWED_ORIGINS"),
        ({"admin_email": "m@example.com"}, "only one half"),
        ({"admin_password": "correct horse"}, "only one half"),
        ({"admin_email": "nobody", "admin_password": "correct horse"}, "WORKBENCH_METABASE_ADMIN_EMAIL"),
        ({"admin_email": "m@example.com", "admin_password": "short"}, "WORKBENCH_METABASE_ADMIN_PASSWORD"),
        ({"token_seconds": "601"}, "token_seconds"),
        ({"token_seconds": "9"}, "token_seconds"),
        ({"tokens_per_minute": "0"}, "tokens_per_minute"),
        ({"database_port": "70000"}, "database_port"),
        ({"embedding_secret": "a" * 64}, "embedding_secret"),
    ],
)
def test_what_cannot_be_is_refused_by_name(given_settings: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError, match=told) as refused:
        settings(**given_settings)
    for kept in ("word@", "short", "correct horse"):
        assert kept not in str(refused.value)


def test_the_embedding_secret_is_the_hmac_of_its_generation() -> None:
    expected = hmac.digest(SECRET.encode(), b"metabase embedding 3", hashlib.sha256).hex()
    assert embedding_secret(SECRET, 3) == expected
    assert len(expected) == 64


@given(generations=st.sets(st.integers(1, 2**31 - 1), min_size=2, max_size=20), other=st.text(min_size=32))
def test_no_two_generations_and_no_two_deployments_share_a_secret(generations: set[int], other: str) -> None:
    made = {embedding_secret(SECRET, generation) for generation in generations}
    made |= {embedding_secret(other, generation) for generation in generations if other != SECRET}
    assert len(made) == len(generations) * (1 if other == SECRET else 2)
