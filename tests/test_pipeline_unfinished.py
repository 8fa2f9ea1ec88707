"""versions, without an ingest: what tells titles apart, what becomes of a version that was left unfinished, and which keys are kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.ingest_support import Recorder
from tests.ingest_support import settings as quick
from tests.inventory_support import inventory
from tests.test_plan import planned, rung, source
from vidpipe import durable
from vidpipe.catalog.compose import record_of
from vidpipe.catalog.record import Record, SourceFile
from vidpipe.catalog.store import Catalog
from vidpipe.errors import CatalogFailed, PublishFailed, UsageError
from vidpipe.inventory.fingerprints import fingerprints_of
from vidpipe.ladder import Ladder
from vidpipe.media.ffmpeg import FFmpeg
from vidpipe.pipeline import versions
from vidpipe.pipeline.succession import Description
from vidpipe.pipeline.versions import abandon, begin, fingerprint_of, give_up, is_known
from vidpipe.plan import Plan
from vidpipe.protect.key_source import KeySet
from vidpipe.protect.key_store import KeyStore, new_key_id
from vidpipe.protect.key_uses import KeyUse
from vidpipe.settings import Settings
from vidpipe.source.facts import Colour, Source, SubtitleStream
from vidpipe.source.policy import load_policy
from vidpipe.storage.local import LocalStorage
from vidpipe.work.jobs import Claim, JobNote, claim

MASTER, OTHER_MASTER = b"m" * 32, b"o" * 32


# -- what tells titles apart ---------------------------------------------------------------------------------------------------------------


def fingerprint(
    made: Plan | None = None, title: str = "T", metadata: dict[str, str] | None = None, ffmpeg: str = "9.0", **changes: Any
) -> str:
    configured = Settings(**{"home": Path("/home"), "target": "s3://b/vod", **changes})
    return fingerprint_of(made or planned(source()), Description(title=title, metadata=metadata or {}), configured, FFmpeg("/f", ffmpeg))


def test_whatever_viewers_could_notice_makes_another_title() -> None:
    others = [
        fingerprint(),
        fingerprint(planned(source(height=720))),
        fingerprint(planned(source(), segment="4")),
        fingerprint(title="U"),
        fingerprint(metadata={"season": "1"}),
        fingerprint(metadata={"season": "2"}),
        fingerprint(ffmpeg="9.1"),
        fingerprint(target="s3://b/other"),
        fingerprint(encrypt="none"),
        fingerprint(key_url="https://keys.example.com/{key_id}"),
        fingerprint(public_url="https://media.example.com"),
        fingerprint(gzip_playlists=not Settings(home=Path("/home")).gzip_playlists),
    ]
    assert len(set(others)) == len(others)


SD = Colour(matrix="smpte170m")


@pytest.mark.parametrize(
    ("facts", "codecs", "scored", "drawn"),
    [
        pytest.param(source(), ("h264",), False, True, id="BT.709, scaled"),
        pytest.param(source(426, 240, colour=Colour(matrix="bt709")), ("h264",), False, False, id="BT.709, as large as its source"),
        pytest.param(source(426, 240), ("h264",), False, True, id="untagged SD, as large as its source"),
        pytest.param(source(640, 480), ("h264",), False, True, id="untagged SD"),
        pytest.param(source(colour=SD), ("h264",), False, True, id="HD in the matrix of SD"),
        pytest.param(source(colour=SD, pixel_format="yuv422p10le", bit_depth=10), ("h264",), False, False, id="dithered"),
        pytest.param(source(pixel_format="gbrp"), ("h264",), False, False, id="RGB"),
        pytest.param(source(pixel_format="gbrp"), ("h264", "hevc"), True, False, id="two codecs"),
    ],
)
def test_only_titles_whose_bytes_are_others_since_then_are_made_anew(
    facts: Source, codecs: tuple[str, ...], scored: bool, drawn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ladder = Ladder(name="l", description="d", rungs=tuple(rung(240 * (1 + n), codec=codec) for n, codec in enumerate(codecs)))
    made = planned(facts, ladder)
    thumbnails = facts.video.pixel_format == "yuv420p"  # they are smaller than the source
    media = fingerprints_of(made, load_policy(), ffmpeg="9.0")
    now = fingerprint(made)
    with monkeypatch.context() as patch:  # as it was before there was anything new
        patch.setattr(versions, "_new_of", lambda *_: {})
        patch.setattr("vidpipe.inventory.fingerprints.by_other_filters", lambda *_: {})
        assert (now != fingerprint(made)) == (scored or drawn or thumbnails)
        before = fingerprints_of(made, load_policy(), ffmpeg="9.0")
    assert [media.video[id_] != before.video[id_] for id_ in media.video] == [drawn] * len(codecs)
    assert (media.pictures != before.pictures) == (drawn or thumbnails)
    assert (media.audio, media.subtitles) == (before.audio, before.subtitles)


def test_titles_with_subtitles_are_made_anew_for_the_blank_line_and_keep_all_but_these(monkeypatch: pytest.MonkeyPatch) -> None:
    words = SubtitleStream(index=2, codec="subrip", text=True, start=Fraction(0), duration=Fraction(60), packets=9)
    made = planned(source().model_copy(update={"subtitles": (words,)}))
    assert made.subtitles
    now, media = fingerprint(made), fingerprints_of(made, load_policy(), ffmpeg="9.0")
    with monkeypatch.context() as patch:  # as it was before
        patch.setattr(versions, "_new_of", lambda *_: {})
        patch.setattr("vidpipe.inventory.fingerprints._BLANK_LINE", {})
        assert fingerprint(made) != now
        before = fingerprints_of(made, load_policy(), ffmpeg="9.0")
    assert (media.video, media.audio, media.pictures) == (before.video, before.audio, before.pictures)
    assert media.subtitles != before.subtitles


@pytest.mark.parametrize("rotation", [None, "2segments"])
@pytest.mark.parametrize("named", [False, True])
def test_titles_whose_playlist_named_the_keys_of_later_periods_are_made_anew(
    rotation: str | None, named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured = {"key_rotation": rotation, "session_keys": named}
    monkeypatch.setattr(versions, "by_other_filters", lambda *_: {})
    now = fingerprint(**configured)
    monkeypatch.setattr(versions, "_new_of", lambda *_: {})  # as it was before
    assert (fingerprint(**configured) != now) == (named and rotation is not None)


def test_what_leaves_no_trace_makes_no_other_title() -> None:
    made, main = planned(source()), source()
    moved = planned(main.model_copy(update={"location": "/elsewhere/s.mp4", "mtime_ns": 2}))
    assert moved.model_dump_json() != made.model_dump_json()
    same = [
        fingerprint(moved),
        fingerprint(planned(source(), chunk="12")),
        fingerprint(made.model_copy(update={"warnings": ("w",), "notes": ("n",)})),
        fingerprint(home=Path("/other"), workers=3, upload_workers=7),
    ]
    assert set(same) == {fingerprint()}
    assert fingerprint(metadata={"a": "1", "b": "2"}) == fingerprint(metadata={"b": "2", "a": "1"})


@pytest.mark.parametrize(("target", "matters"), [("S3://b/vod", True), ("/srv/vod", False)], ids=["s3", "folder"])
def test_compression_counts_where_a_target_can_say_so(target: str, matters: bool) -> None:
    both = {fingerprint(target=target, gzip_playlists=packed) for packed in (True, False)}
    assert (len(both) == 2) == matters


# -- versions that were left unfinished ----------------------------------------------------------------------------------------------------


@dataclass
class Workshop:
    """Everything that a version is begun with, in one folder."""

    folder: Path
    catalog: Catalog
    configured: Settings
    keys: KeyStore
    recorder: Recorder
    held: Claim
    uses: tuple[KeyUse, ...] | None = None

    def begin(self, fingerprint: str = "f", *, keep: tuple[str | None, ...] = (), fresh: bool = False) -> tuple[JobNote, KeySet]:
        held = replace(self.held, unfinished=self.note)
        one = () if self.configured.encrypt == "none" else (KeyUse(),)
        uses = self.uses if self.uses is not None else one
        return begin(held, self.catalog, self.configured, self.keys, "film", fingerprint, self.recorder, uses=uses, keep=keep, fresh=fresh)

    @property
    def note(self) -> JobNote | None:
        return JobNote.model_validate_json(self.held.path.read_bytes()) if self.held.path.exists() else None

    @property
    def stored(self) -> set[str]:
        return {info.key_id for info in self.keys.find()}

    def leave(self, **changes: Any) -> JobNote:
        """Leave a version unfinished: its note, its key, and an object at the target."""
        fields: dict[str, Any] = {"fingerprint": "f", "version": "v1", "target": self.configured.target, "catalog": self.catalog.where}
        left = JobNote(content_id="film", **fields | {"key_ids": (new_key_id(),)} | changes)
        for key_id in left.key_ids:
            if not self.keys.holds(key_id):
                self.keys.create("film", key_id)
        self.held.save(left)
        self.object(left.version).parent.mkdir(parents=True, exist_ok=True)
        self.object(left.version).write_bytes(b"uploaded")
        return left

    def object(self, version: str) -> Path:
        return Path(self.configured.target) / "film" / version / "video" / "90p" / "00001.m4s"

    def publish(self, *key_ids: str, version: str = "v1") -> Record:
        made = inventory(version=version, keys=key_ids)
        record = record_of(made, SourceFile(name="f", sha256="ab" * 32, size=1), title="F", metadata={}, location=lambda path: f"/{path}")
        self.catalog.publish(record, "f")
        return record

    def said(self) -> list[str]:
        return self.recorder.warnings


@contextmanager
def opened(folder: Path, **changes: Any) -> Iterator[Workshop]:
    configured = quick(folder, 90, **changes)
    with Catalog(configured.catalog_url) as catalog, claim(configured.work, "film") as held:
        yield Workshop(folder, catalog, configured, KeyStore(configured.keys, MASTER), Recorder(), held)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    with opened(tmp_path) as made:
        yield made


def test_a_new_version_is_noted_with_its_key(shop: Workshop) -> None:
    job, keys = shop.begin("print")
    assert shop.note == job
    assert (job.content_id, job.fingerprint, job.target, job.catalog) == ("film", "print", shop.configured.target, shop.catalog.where)
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{6}", job.version)
    key = keys.of("any")
    assert key is not None
    assert (job.key_ids, job.keys_kept) == ((key.key_id,), ())
    assert shop.keys.get(key.key_id) == key
    assert key.content_id == "film"
    assert shop.said() == []


def test_a_clear_version_has_no_key(tmp_path: Path) -> None:
    with opened(tmp_path, encrypt="none") as shop:
        KeyStore(shop.configured.keys, OTHER_MASTER).create("other")
        job, keys = shop.begin()
        assert (job.key_ids, job.keys_kept, keys.ids, keys.of("any")) == ((), (), (), None)
        assert shop.said() == [], "of master keys: none is needed"


def test_the_same_version_is_continued(shop: Workshop) -> None:
    left = shop.leave()
    job, keys = shop.begin()
    assert (job, keys.ids) == (left, left.key_ids)
    assert shop.object("v1").exists()


def test_a_key_that_was_noted_and_not_made_is_made(shop: Workshop) -> None:
    left = shop.leave()
    shop.keys.remove(left.key_ids[0])
    job, keys = shop.begin()
    assert (job, keys.ids) == (left, left.key_ids)
    assert shop.stored == set(left.key_ids)


@pytest.mark.parametrize("why", ["fresh", "another title", "an altered key", "another master key", "a kept key that is gone"])
def test_another_version_removes_what_was_left(why: str, shop: Workshop) -> None:
    left = shop.leave(keys_kept=why == "a kept key that is gone")
    if why == "an altered key":
        (shop.configured.keys / f"{left.key_ids[0]}.json").write_text("{}")
    elif why == "another master key":
        shop.keys = KeyStore(shop.configured.keys, OTHER_MASTER)
    elif why == "a kept key that is gone":
        shop.keys.remove(left.key_ids[0])
    job, keys = shop.begin("g" if why == "another title" else "f", fresh=why == "fresh")
    assert job.version != left.version
    assert shop.note == job
    assert not shop.object("v1").exists()
    assert keys.ids == job.key_ids != left.key_ids
    assert shop.stored == set(job.key_ids)
    assert len(shop.said()) == (why == "another master key")


def test_what_cannot_be_removed_is_a_warning(shop: Workshop) -> None:
    left = shop.leave(target="ftp://nowhere/x")
    job, _ = shop.begin("g")
    assert job.version != left.version
    assert shop.stored == set(job.key_ids)
    (text,) = shop.said()
    assert "ftp://nowhere/x (version v1) could not be removed: " in text


def test_what_the_target_does_not_remove_keeps_its_note(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be sealed already. Without the note, garbage collection would take it for a version of another catalog, for ever."""
    left = shop.leave()

    def fails(*_: object) -> None:
        raise PublishFailed("cannot delete: the server failed")

    monkeypatch.setattr(LocalStorage, "delete_prefix", fails)
    with pytest.raises(PublishFailed, match="the server failed"):
        shop.begin("g")
    assert (shop.note, shop.stored) == (left, set(left.key_ids))
    monkeypatch.undo()
    job, _ = shop.begin("g")
    assert (shop.note, shop.stored) == (job, set(job.key_ids))
    assert not shop.object("v1").exists()


def test_a_version_that_another_catalog_knows_is_left_alone(shop: Workshop) -> None:
    left = shop.leave(catalog="sqlite:///elsewhere.db")
    job, _ = shop.begin()
    assert job.version != "v1"
    assert shop.object("v1").exists()
    assert shop.stored == {*left.key_ids, *job.key_ids}
    (text,) = shop.said()
    assert "unfinished version v1 for the catalog sqlite:///elsewhere.db is forgotten" in text
    assert shop.configured.target in text


def test_a_version_that_is_live_is_left_alone(shop: Workshop) -> None:
    left = shop.leave()
    shop.publish(*left.key_ids)
    assert shop.begin()[0].version != "v1"
    assert shop.object("v1").exists()
    assert set(left.key_ids) < shop.stored


def test_a_note_without_a_catalog_is_of_this_one(shop: Workshop) -> None:
    """As an older vidpipe wrote it."""
    left = shop.leave(catalog=None)
    assert shop.begin()[0] == left
    assert shop.said() == []


def test_a_key_that_another_version_is_encrypted_under_is_not_removed(shop: Workshop) -> None:
    used, unused = shop.keys.create("film").key_id, shop.keys.create("film").key_id
    shop.publish(used, version="v0")
    shop.leave(key_ids=(used, unused))
    job, _ = shop.begin("g")
    assert shop.stored == {used, *job.key_ids}


@pytest.mark.parametrize(
    ("how", "kept"),
    [("usable", True), ("fresh", False), ("gone", False), ("altered", False), ("of another master key", False), ("one too many", False)],
)
def test_the_key_of_the_live_version_is_kept_if_it_can_be(how: str, kept: bool, shop: Workshop) -> None:
    store = KeyStore(shop.configured.keys, OTHER_MASTER) if how == "of another master key" else shop.keys
    keep = tuple(store.create("film").key_id for _ in range(2 if how == "one too many" else 1))
    if how == "gone":
        shop.keys.remove(keep[0])
    elif how == "altered":
        (shop.configured.keys / f"{keep[0]}.json").write_text("{}")
    job, keys = shop.begin(keep=keep, fresh=how == "fresh")
    assert job.keys_kept == (keep if kept else ())
    assert (job.key_ids == keep) == kept
    assert keys.ids == job.key_ids
    assert len(job.key_ids) == 1


def test_what_is_new_gets_a_key_beside_those_that_are_kept(shop: Workshop) -> None:
    """As when a rung of another class is added. What is given up later leaves the kept key, and no other."""
    shop.uses = (KeyUse(frozenset({"en"}), track_type="AUDIO"), KeyUse(frozenset({"90p"}), track_type="SD"))
    kept = shop.keys.create("film").key_id
    job, keys = shop.begin(keep=(kept, None))
    assert job.keys_kept == (kept,)
    assert keys.ids == job.key_ids == (kept, job.key_ids[1])
    assert shop.stored == {*job.key_ids}
    assert shop.begin(keep=(None, None))[0] == job, "a run that was killed is continued under the same keys"
    again, _ = shop.begin("g", keep=(kept, None))
    assert shop.stored == {kept, again.key_ids[1]}
    shop.keys.remove(kept)
    last, _ = shop.begin("g", keep=(None, None))
    assert kept not in last.key_ids, "a key that was kept and is gone is never made anew under its old id"


def test_a_key_that_was_kept_is_never_removed(shop: Workshop) -> None:
    key_id = shop.keys.create("film").key_id
    shop.leave(key_ids=(key_id,), keys_kept=True)
    assert shop.begin("g", fresh=True)[0].key_ids != (key_id,)
    assert key_id in shop.stored


def test_without_its_key_nothing_is_begun(shop: Workshop) -> None:
    shop.configured.keys.mkdir(parents=True)
    (shop.configured.keys / "master.key").write_text("half")
    (shop.configured.keys / "master.key").chmod(0o600)
    shop.keys = KeyStore(shop.configured.keys)
    with pytest.raises(UsageError, match="32 bytes"):
        shop.begin()
    assert shop.note is None


def test_no_key_stays_of_a_version_that_was_not_begun(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the note nobody would know whose the first of two keys is."""
    shop.uses = (KeyUse(frozenset({"en"}), track_type="AUDIO"), KeyUse(frozenset({"90p"}), track_type="SD"))
    write, asked = durable.write, list[Path]()

    def full(file: Path, data: bytes | Path, *, private: bool = False) -> None:
        if file.parent == shop.configured.keys:
            asked.append(file)
            if len(asked) == 2:
                raise OSError(28, "No space left on device")
        write(file, data, private=private)

    with monkeypatch.context() as patch:
        patch.setattr(durable, "write", full)
        with pytest.raises(UsageError, match="No space"):
            shop.begin()
    assert len(asked) == 2
    assert (shop.note, shop.stored) == (None, set())


def test_keys_of_another_master_key_are_a_warning(shop: Workshop) -> None:
    KeyStore(shop.configured.keys, OTHER_MASTER).create("another film")
    shop.begin()
    (text,) = shop.said()
    assert str(shop.configured.keys) in text
    assert "another film" in text
    assert "VIDPIPE_MASTER_KEY" in text


def test_only_a_few_keys_are_looked_at_before_a_run(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "A_FEW_KEYS", 1)
    for content_id in ("one", "two"):
        KeyStore(shop.configured.keys, OTHER_MASTER).create(content_id)
    shop.begin()
    assert len(shop.said()) == 1
    monkeypatch.setattr(versions, "A_FEW_KEYS", 0)
    shop.begin("g")
    assert len(shop.said()) == 1


# -- giving up -----------------------------------------------------------------------------------------------------------------------------


def abandoned(shop: Workshop, left: JobNote) -> None:
    abandon(shop.held, shop.catalog, LocalStorage(Path(left.target)), left, shop.keys)


def test_an_abandoned_version_leaves_nothing(shop: Workshop) -> None:
    left = shop.leave()
    shop.leave(version="v2")
    abandoned(shop, left)
    assert not shop.object("v1").exists()
    assert shop.object("v2").exists()
    assert not set(left.key_ids) & shop.stored
    assert shop.note is None


@pytest.mark.parametrize("fails", ["target", "catalog"])
def test_a_version_that_cannot_be_removed_keeps_its_note(fails: str, shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    left = shop.leave()
    if fails == "target":
        monkeypatch.setattr(LocalStorage, "delete_prefix", fail(PublishFailed("gone")))
    else:
        monkeypatch.setattr(Catalog, "versions", fail(CatalogFailed("gone")))
    abandoned(shop, left)
    assert shop.note == left
    assert shop.stored == set(left.key_ids)


def test_in_doubt_a_version_is_known(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    left = shop.leave()
    assert not is_known(shop.catalog, left)
    shop.publish(version="v2")
    assert not is_known(shop.catalog, left)
    assert is_known(shop.catalog, left.model_copy(update={"catalog": "another"}))
    shop.publish(version="v1")
    assert is_known(shop.catalog, left)
    monkeypatch.setattr(Catalog, "versions", fail(CatalogFailed("gone")))
    assert is_known(shop.catalog, left)


def test_everything_that_can_be_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of five titles: one is live, one belongs to another catalog, and the target of one cannot be reached."""
    configured = quick(tmp_path, 90)
    elsewhere, keys = tmp_path / "elsewhere", KeyStore(configured.keys)
    lost = tmp_path / "lost"
    targets = {"first": str(elsewhere), "live": configured.target, "far": configured.target, "lost": str(lost), "none": "ftp://x"}
    kept = {}
    with Catalog(configured.catalog_url) as catalog:
        for content_id, target in targets.items():
            kept[content_id] = keys.create(content_id).key_id
            where = "another" if content_id == "far" else catalog.where
            left = JobNote(
                content_id=content_id, fingerprint="f", version="v1", target=target, key_ids=(kept[content_id],), catalog=where
            )
            with claim(configured.work, content_id) as held:
                held.save(left)
            if "://" not in target:
                file = Path(target) / content_id / "v1" / "master.m3u8"
                file.parent.mkdir(parents=True)
                file.write_bytes(b"")
        made = inventory(content_id="live", version="v1", keys=(kept["live"],))
        about_source = SourceFile(name="f", sha256="ab" * 32, size=1)
        catalog.publish(record_of(made, about_source, title="F", metadata={}, location=lambda path: f"/{path}"), "f")
    delete = LocalStorage.delete_prefix

    def reached(self: LocalStorage, prefix: str) -> None:
        if self.root == lost:
            raise PublishFailed("not reached")
        delete(self, prefix)

    monkeypatch.setattr(LocalStorage, "delete_prefix", reached)
    with pytest.raises(PublishFailed, match="not reached"):
        give_up(configured)
    assert {path.stem for path in (configured.work / "jobs").glob("*.json")} == {"far", "lost"}
    assert {info.content_id for info in keys.find()} == {"live", "far", "lost"}
    assert not (elsewhere / "first").exists()
    assert (Path(configured.target) / "live/v1/master.m3u8").exists()
    assert (Path(configured.target) / "far/v1/master.m3u8").exists()
    assert (lost / "lost/v1/master.m3u8").exists()


def test_titles_that_were_given_up_are_named_once(tmp_path: Path) -> None:
    configured = quick(tmp_path, 90)
    for content_id, target in (("b", configured.target), ("a", "ftp://x")):
        with claim(configured.work, content_id) as held:
            held.save(JobNote(content_id=content_id, fingerprint="f", version="v1", target=target))
    (configured.work / "jobs" / "damaged.json").write_text("{")
    with claim(configured.work, "a"):
        assert give_up(configured) == ("b",), "the other one is running"
    assert give_up(configured) == ("a",)
    assert give_up(configured) == ()
    assert list((configured.work / "jobs").glob("*.json")) == []


def fail(problem: Exception) -> Any:
    def failing(*_: object, **__: object) -> None:
        raise problem

    return failing
