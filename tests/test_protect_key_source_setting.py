"""The setting of where keys come from: what names a source, and what would send keys in clear over a network."""

from __future__ import annotations

import pytest

from vidpipe.errors import UsageError
from vidpipe.protect.key_source_setting import check_authorization, check_header, check_key_source, header_of


@pytest.mark.parametrize(
    "value",
    [
        "local",
        "kms:arn:aws:kms:eu-central-1:123456789012:key/0123-ab",
        "kms:arn:aws-us-gov:kms:us-gov-west-1:123456789012:alias/vidpipe",
        "cpix:https://keys.example.com:8443/speke/v2.0/copyProtection",
        "cpix:http://localhost:8080/keys",
        "cpix:http://127.0.0.1/keys",
    ],
)
def test_what_names_a_source(value: str) -> None:
    assert check_key_source(value, "key_source") == value


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("Local", "not a source of keys"),
        ("kms:arn:aws:s3:eu-central-1:123456789012:key/0123-ab", "not a source of keys"),
        ("kms:arn:aws:kms:eu-central-1:123456789012:key/0123-ab?", "not a source of keys"),
        ("https://keys.example.com", "not a source of keys"),
        ("cpix:", "not the URL of a key server"),
        ("cpix:https://", "not the URL of a key server"),
        ("cpix:https://[::1", "not the URL of a key server"),
        ("cpix:https://keys.example.com:99999/", "not the URL of a key server"),
        ("cpix:ftp://keys.example.com/", "not the URL of a key server"),
        ("cpix:https://me:secret@keys.example.com/", "not the URL of a key server"),
        ("cpix:https://keys.example.com/schlüssel", "not the URL of a key server"),
        ("cpix:https://keys.example.com/a b\x7f", "not the URL of a key server"),
        ("cpix:http://keys.example.com/", "in clear over the network"),
    ],
)
def test_what_names_none_or_would_give_keys_away(value: str, what: str) -> None:
    with pytest.raises(UsageError, match=what) as refused:
        check_key_source(value, "VIDPIPE_KEY_SOURCE")
    assert refused.value.where == "VIDPIPE_KEY_SOURCE"
    assert "secret" not in "".join(refused.value.lines()), "what it quotes, logs keep"


def test_what_may_stand_in_a_header() -> None:
    assert check_authorization(" Bearer abc ", "key_source_authorization") == "Bearer abc"
    for value in ("Bearer schlüssel", "Bearer a\nHost: elsewhere"):
        with pytest.raises(UsageError, match="not the text of a header") as refused:
            check_authorization(value, "key_source_authorization")
        assert refused.value.where == "key_source_authorization"
        assert value not in "".join(refused.value.lines())
    for value in ("aws-sigv4", "aws-sigv4:eu-west-1"):
        assert check_authorization(value, "key_source_authorization") == value
    for value in ("aws-sigv4:EU", "aws-sigv4:eu-west-1:", "aws-sigv4::eu-west-1", "aws-sigv4:eu/west"):
        with pytest.raises(UsageError, match="not an AWS region"):
            check_authorization(value, "key_source_authorization")


def test_a_header_of_the_key_server() -> None:
    assert header_of(check_header(" x-caller: https://encoder.example.com ", "key_source_header")) == ("x-caller", "https://encoder.example.com")
    for line, fix in (("Authorization: Bearer abc", "set key_source_authorization"), ("host: elsewhere", "give the header")):
        with pytest.raises(UsageError, match="cannot be set") as refused:
            check_header(line, "key_source_header")
        assert str(refused.value.fix).startswith(fix)
