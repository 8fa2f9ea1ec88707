"""public_url: what may be given, and which URLs come of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from vidpipe.errors import UsageError
from vidpipe.publish.addresses import check_public_url, public, title_url
from vidpipe.settings import Settings, resolve


def test_urls_of_titles_and_objects() -> None:
    assert check_public_url("https://h/X//", "--public-url") == "https://h/X"
    assert check_public_url("http://localhost:8080/vod", "--public-url") == "http://localhost:8080/vod"
    base = check_public_url("https://media.example.com/vod/", "--public-url")
    assert title_url(base, "film") == "https://media.example.com/vod/film/master.m3u8"
    assert public(base, "film/v 1/a#b.m4s") == "https://media.example.com/vod/film/v%201/a%23b.m4s"


@pytest.mark.parametrize(
    "url",
    [
        "media.example.com", "s3://bucket", "https://", "https:///x", "https://h/a b", "https://h/?a=1", "https://h/#a", "https://h/?", "https://h:x/",
        "https://me:secret@h/", "https://me@h/", "https://:secret@h/", "https://@h/", "https://[h/", "https://h/é", "/vod",
    ],
)  # fmt: skip
def test_what_no_path_can_be_added_to_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        resolve({"home": "home", "public_url": url}, {}, tmp_path)
    assert refused.value.where == "--public-url"
    with pytest.raises(UsageError) as refused:
        resolve({"home": "home"}, {"VIDPIPE_PUBLIC_URL": url}, tmp_path)
    assert refused.value.where == "VIDPIPE_PUBLIC_URL"


def test_the_library_may_be_given_a_slash_too(tmp_path: Path) -> None:
    assert Settings(home=tmp_path, public_url="https://h/vod/").public_url == "https://h/vod"
    with pytest.raises(UsageError) as refused:
        Settings(home=tmp_path, public_url="h/vod")
    assert refused.value.where == "public_url"


def test_a_password_in_it_is_not_repeated() -> None:
    with pytest.raises(UsageError) as refused:
        check_public_url("https://me:secret@h/", "--public-url")
    assert "secret" not in str(refused.value)
