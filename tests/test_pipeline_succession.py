"""succession: a live title is replaced on request alone, and what is not named is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ingest_support import FIXTURES, published, run, settings
from tests.inventory_support import inventory
from tests.test_plan import audio, source
from vidpipe.catalog.compose import record_of
from vidpipe.catalog.record import Record, SourceFile
from vidpipe.catalog.store import Catalog
from vidpipe.errors import UsageError
from vidpipe.pipeline.ingest import IngestRequest, ingest
from vidpipe.pipeline.succession import check_description, check_source, described, given_languages
from vidpipe.settings import Settings

CLIP = FIXTURES / "one-second.mp4"


@pytest.fixture
def configured(tmp_path: Path) -> Settings:
    return settings(tmp_path, 90)


def other_clip(folder: Path) -> Path:
    """Another source with the name of the first one: bytes after the last box change nothing but the hash."""
    folder.mkdir()
    file = folder / CLIP.name
    file.write_bytes(CLIP.read_bytes() + b"\0\0\0\x08free")
    return file


def test_what_is_not_named_is_kept(configured: Settings) -> None:
    first = run(CLIP, configured, title="A Film", metadata={"season": "2", "studio": "x"})
    assert run(CLIP, configured).unchanged
    assert run(CLIP, configured, metadata={"season": "2"}).unchanged
    rekeyed = run(CLIP, configured, new_key=True).record
    assert rekeyed.version != first.record.version
    assert (rekeyed.title, rekeyed.metadata) == ("A Film", {"season": "2", "studio": "x"})
    changed = run(CLIP, configured, metadata={"season": "3", "studio": "", "never": ""}).record
    assert (changed.title, changed.metadata) == ("A Film", {"season": "3"})
    assert run(CLIP, configured).unchanged
    assert run(CLIP, configured, title="").record.title == "one-second"


def test_another_source_needs_replace(configured: Settings, tmp_path: Path) -> None:
    first = run(CLIP, configured, title="A Film").record
    other = other_clip(tmp_path / "b")
    before = published(Path(configured.target)), published(configured.work / "chunks"), published(configured.keys)
    with pytest.raises(UsageError) as refused:
        run(other, configured)
    assert refused.value.id == "other-source", "an inbox leaves it to a person"
    text = "\n".join(refused.value.lines())
    assert f"{first.content_id} is live and was made from another source: one-second.mp4" in text
    assert "--replace" in text
    assert "--id" in text
    assert (published(Path(configured.target)), published(configured.work / "chunks"), published(configured.keys)) == before
    with Catalog(configured.catalog_url) as catalog:
        assert catalog.list() == (first,)
    replaced = run(other, configured, replace=True).record
    assert (replaced.content_id, replaced.title) == (first.content_id, "A Film")
    assert not set(replaced.encryption.key_ids) & set(first.encryption.key_ids), "another film has a key of its own"
    assert replaced.source.sha256 != first.source.sha256


def test_the_same_bytes_under_another_name_are_the_same_source(configured: Settings, tmp_path: Path) -> None:
    first = run(CLIP, configured, content_id="film").record
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(CLIP.read_bytes())
    again = run(copy, configured, content_id="film").record
    assert (again.source.name, again.source.sha256, again.title) == ("copy.mp4", first.source.sha256, "one-second")


@pytest.mark.parametrize(
    ("title", "metadata", "where", "what"),
    [
        ("\udcff", {}, "--title", "not UTF-8"),
        (None, {"key": "\udcff"}, "--meta", "not UTF-8"),
        (None, {"\udcff": "x"}, "--meta", "not UTF-8"),
        ("a\0b", {}, "--title", "NUL"),
        (None, {"key": "\0"}, "--meta", "NUL"),
    ],
    ids=["title", "value", "key", "NUL in the title", "NUL in a value"],
)
def test_text_that_no_record_holds_is_refused_before_any_work(
    title: str | None, metadata: dict[str, str], where: str, what: str, configured: Settings
) -> None:
    with pytest.raises(UsageError, match=what) as refused:
        ingest(IngestRequest(source=str(CLIP), title=title, metadata=metadata), configured)
    assert refused.value.where == where
    assert not configured.home.exists()
    check_description("Größte ✓", {"ключ": "値\n"})


def live(**source: object) -> Record:
    """A live version. source: what the record says of the file that it was made of."""
    file = SourceFile.model_validate({"name": "s.mp4", "sha256": "0" * 64, "size": 1, **source})
    metadata = {"season": "2", "studio": "x"}
    return record_of(inventory(), file, title="A Film", metadata=metadata, location=lambda path: f"/{path}")


def test_the_bytes_of_the_source_decide_whether_it_may_take_the_place() -> None:
    check_source(None, source(), replace=False)
    check_source(live(name="other.mp4", size=7), source(), replace=False)
    other = live(name="other.mp4", sha256="1" * 64, size=7)
    check_source(other, source(), replace=True)
    with pytest.raises(UsageError, match=r"other.mp4 \(7 bytes, version 20261120T221500Z-3fa9c1\), not s.mp4 \(1 bytes\)"):
        check_source(other, source(), replace=False)


def test_a_title_that_was_taken_down_comes_back_on_request_alone() -> None:
    """A script that runs its ingests again must not publish what somebody has withdrawn, not even from the same source."""
    withdrawn = live().model_copy(update={"status": "withdrawn"})
    with pytest.raises(UsageError, match="was withdrawn") as refused:
        check_source(withdrawn, source(), replace=False)
    assert refused.value.id == "withdrawn-title", "an inbox leaves it to a person"
    check_source(withdrawn, source(), replace=True)


def test_the_description_is_that_of_the_live_version_but_for_what_is_given() -> None:
    kept = {"season": "2", "studio": "x"}
    for before, title, given, expected in (
        (None, None, {}, ("s", {})),
        (None, "New", {"a": "b", "c": ""}, ("New", {"a": "b"})),
        (live(), None, {}, ("A Film", kept)),
        (live(), "", {"season": "3"}, ("s", {"season": "3", "studio": "x"})),
        (live(), "New", {"studio": "", "a": "b"}, ("New", {"season": "2", "a": "b"})),
    ):
        made = described(before, source(), title, given)
        assert (made.title, made.metadata) == expected


def test_languages_are_kept_for_the_same_source_alone() -> None:
    before, film = live(languages={1: "de", 2: "fr"}), source(audio=(audio(1), audio(2, language="it")))
    assert given_languages(None, film, {1: "en"}) == {1: "en"}
    assert given_languages(before, film, {None: "en"}) == {1: "en", 2: "fr"}
    assert given_languages(live(languages={2: "fr"}, sha256="1" * 64), film, {1: "en"}) == {1: "en"}
    with pytest.raises(UsageError, match="neither audio nor subtitles"):
        given_languages(before, film, {7: "en"})
