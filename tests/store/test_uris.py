"""URIs: what is none is refused in one line, and credentials are never shown."""

from __future__ import annotations

import pytest
from pyarrow import fs

from mcrelu.errors import ResourceError, UserError
from mcrelu.store.files import Files
from mcrelu.store.uris import shown

# S3 clients ask for the region of a bucket before anything else.
pytestmark = pytest.mark.usefixtures("s3")

SECRETS = ("AKIAKEY", "SeCrEt", "Wo/rd", "ToKeN")


@pytest.mark.parametrize(
    ("uri", "masked"),
    [
        ("s3://bucket/run", "s3://bucket/run"),
        ("s3://bucket/run@2", "s3://bucket/run@2"),
        ("s3://bucket/a:b", "s3://bucket/a:b"),
        ("results/run@2", "results/run@2"),
        ("s3://AKIAKEY:SeCrEt@bucket/run", "s3://***@bucket/run"),
        ("s3://AKIAKEY@bucket/run", "s3://***@bucket/run"),
        ("s3://AKIAKEY:Wo/rd@bucket/run", "s3://***@bucket/run"),
        ("s3://AKIAKEY:Wo/rd@bucket/run@2", "s3://***@2"),
        ("s3://AKIAKEY:SeCrEt@x@bucket/run", "s3://***@bucket/run"),
        ("s3://bucket/run?region=us-east-1", "s3://bucket/run?region=us-east-1"),
        (
            "s3://bucket/run?access_key=AKIAKEY&region=eu&secret_key=SeCrEt&session_token=ToKeN",
            "s3://bucket/run?access_key=***&region=eu&secret_key=***&session_token=***",
        ),
        ("abfss://account/run?sas_token=ToKeN", "abfss://account/run?sas_token=***"),
        (
            "s3://bucket/run?endpoint_override=http://me:SeCrEt@host:9000",
            "s3://bucket/run?endpoint_override=http://***@host:9000",
        ),
        (
            "two: s3://AKIAKEY:SeCrEt@a/b and 's3://AKIAKEY:SeCrEt@c/d?secret_key=SeCrEt'",
            "two: s3://***@a/b and 's3://***@c/d?secret_key=***'",
        ),
    ],
)
def test_credentials_are_masked(uri: str, masked: str) -> None:
    assert shown(uri) == masked


@pytest.mark.parametrize(
    "uri",
    [
        "s3://AKIAKEY:SeCrEt@bucket/run?nonsense=1",
        "s3://AKIAKEY:SeCrEt@",
        "s3://AKIAKEY:SeCrEt@bucket/../x",
        "s3://AKIAKEY:Wo/rd@bucket/run",
        "s3://bucket/run?access_key=AKIAKEY&secret_key=SeCrEt&session_token=ToKeN",
        "nonsense://AKIAKEY:SeCrEt@bucket/run",
    ],
)
def test_errors_show_no_credentials(uri: str) -> None:
    with pytest.raises(UserError) as caught:
        Files.at(uri)
    assert not [secret for secret in SECRETS if secret in str(caught.value)]
    assert "***" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_workers_get_the_credentials() -> None:
    uri = "s3://AKIAKEY:SeCrEt@bucket/run"
    files = Files.at(uri)
    assert files.uri == uri
    assert files.shown == "s3://***@bucket/run"
    assert files.path("x") == "bucket/run/x"


@pytest.mark.parametrize("uri", ["s3://", "s3:///", "gs://", "s3://AKIAKEY:SeCrEt@"])
def test_a_uri_without_bucket_is_one_line(uri: str) -> None:
    with pytest.raises(UserError) as caught:
        Files.at(uri)
    assert str(caught.value).startswith(shown(uri))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "uri",
    [
        "s3://bucket/../../etc/x",
        "s3://bucket/a/..",
        "s3://..",
        "s3://bucket/./a",
        "s3://bucket/a%2F..%2Fb",
        "s3://bucket/%2E%2E/b",
        "s3://bucket//a",
        "s3://bucket/a//b",
        "s3://bucket/%2Fa",
    ],
)
def test_a_uri_with_a_segment_that_is_no_name_is_one_line(uri: str) -> None:
    with pytest.raises(UserError, match="segment") as caught:
        Files.at(uri)
    assert str(caught.value).startswith(uri)
    assert len(str(caught.value).splitlines()) == 1


def test_other_dots_and_a_slash_at_the_end_are_fine() -> None:
    assert Files.at("s3://bucket/a/").root == "bucket/a"
    assert Files.at("s3://bucket/v1.2/..a/b...").root == "bucket/v1.2/..a/b..."


def test_a_store_that_cannot_be_reached_shows_no_credentials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Unreachable:
        @staticmethod
        def from_uri(uri: str) -> None:
            raise OSError(f"cannot reach {uri}\nsecond line")

    monkeypatch.setattr(fs, "FileSystem", Unreachable)
    with pytest.raises(ResourceError) as caught:
        Files.at("s3://AKIAKEY:SeCrEt@bucket/run")
    message = str(caught.value)
    assert message.startswith("s3://***@bucket/run: cannot reach s3://***@bucket/run; ")
