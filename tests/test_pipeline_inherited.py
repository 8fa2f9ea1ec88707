"""inheritance, decided and copied without an ingest: what a plan takes over of a live version, and what has to be made."""

from __future__ import annotations

import base64
import hashlib
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.encode_support import FIXTURES, Seen, rung, tiny_plan
from tests.package_support import audio_rendition
from tests.title_support import KEY, PREFIX, SPOKEN, WORDS, Encoded, publish_title, with_tracks
from vidpipe.inventory import Inventory
from vidpipe.inventory.fingerprints import Fingerprints, fingerprints_of
from vidpipe.inventory.model import AudioTrack, LeftOutTrack, MadeChunk, MediaTrack, SubtitleTrack, VideoTrack
from vidpipe.package.init import respoken
from vidpipe.pipeline.inheritance import Inheritance, inherited, take_over
from vidpipe.plan import Plan
from vidpipe.progress import Copied, Note, Silent, Uploaded
from vidpipe.protect.key_source import NO_KEYS, DrmSignal, KeySet, LocalKeys
from vidpipe.protect.key_store import KeyStore
from vidpipe.protect.key_uses import KeyUse
from vidpipe.protect.protection import Protection
from vidpipe.protect.schemes import scheme_of
from vidpipe.publish.copies import Shared
from vidpipe.publish.destination import Destination
from vidpipe.publish.upload import publish_object
from vidpipe.source.policy import load_policy
from vidpipe.storage.local import LocalStorage

POSTER, SHEET, TRACK = "thumbnails/poster.jpg", "thumbnails/sprite-001.jpg", "thumbnails/thumbnails.vtt"
SAME = Fingerprints(video={"low": "low", "high": "high"}, audio={"en": "en"}, subtitles={SPOKEN.id: SPOKEN.id}, pictures="pictures")

KEYS = KeySet((KeyUse(),), (KEY,))


@pytest.fixture(scope="module")
def published(encoded_title: Encoded, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Inventory]:
    folder = tmp_path_factory.mktemp("published")
    found = publish_title(encoded_title, LocalStorage(folder), words=WORDS)
    poster = publish_object(LocalStorage(folder), PREFIX, POSTER, b"a poster", reporter=Silent())
    found = found.with_objects([poster])
    assert found.pictures
    pictures = found.pictures.model_copy(update={"media": "pictures"})
    return folder, with_tracks(found, lambda track: {"media": track.id}).model_copy(update={"pictures": pictures})


@pytest.fixture
def live(published: tuple[Path, Inventory]) -> Inventory:
    return published[1]


@pytest.fixture(scope="module")
def made() -> Plan:
    plan = tiny_plan(FIXTURES / "landscape-24.mp4", rung("high", 180), rung("low", 90))
    return plan.model_copy(update={"audio": (audio_rendition("en"),), "subtitles": (SPOKEN,)})


def decide(made: Plan, live: Inventory, media: Fingerprints = SAME, **changes: Any) -> Inheritance:
    return inherited(made, media, live, **{"scheme": "aes-128", "keys": KEYS, **changes})


def parts(found: Inheritance) -> tuple[set[str], bool, bool, bool]:
    """Return the tracks that are taken over, and whether picture, audio and subtitles are made."""
    return set(found.tracks), bool(found.rest.chunks), bool(found.rest.audio), bool(found.rest.subtitles)


ALL = {"low", "high", "en", SPOKEN.id}


def test_what_is_the_same_is_taken_over_whole(made: Plan, live: Inventory) -> None:
    chunks = (MadeChunk(frames=96, threads=3),)
    found = decide(made, live.model_copy(update={"chunks": chunks}))
    assert found.is_all
    assert found.chunks == chunks
    assert (set(found.tracks), found.pictures, found.left_out, found.spoken, found.objects) == (ALL, live.pictures, (), {}, ())
    segments = {segment.uri for segment in live.segments}
    assert found.moves == {path: path for path in (*segments, *(track.init for track in live.media), POSTER, SHEET)}
    assert found.rest.model_copy(update={"chunks": made.chunks, "audio": made.audio, "subtitles": made.subtitles}) == made
    assert {track.id: track.segments for track in live.tracks} == {name: track.segments for name, track in found.tracks.items()}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"media": replace(SAME, video={"low": "low", "high": "?"})}, ({"en", SPOKEN.id}, True, False, False), id="a rung"),
        pytest.param({"media": replace(SAME, audio={"en": "?"})}, (ALL - {"en"}, False, True, False), id="audio"),
        pytest.param({"media": replace(SAME, subtitles={SPOKEN.id: "?"})}, (ALL - {SPOKEN.id}, False, False, True), id="subtitles"),
        pytest.param({"media": replace(SAME, pictures="?")}, ({"en", SPOKEN.id}, True, False, False), id="pictures"),
        pytest.param({"scheme": "none", "keys": NO_KEYS}, (set(), True, True, True), id="scheme"),
        pytest.param({"keys": KeySet((KeyUse(),), (replace(KEY, key_id="0" * 32),))}, (set(), True, True, True), id="key"),
        pytest.param({"lost": {POSTER}}, ({"en", SPOKEN.id}, True, False, False), id="the poster is lost"),
        pytest.param({"lost": {SHEET}}, ({"en", SPOKEN.id}, True, False, False), id="a sprite is lost"),
        pytest.param({"lost": {TRACK}}, ({"en", SPOKEN.id}, True, False, False), id="the thumbnails track is lost"),
        pytest.param({"lost": {"video/low/00002.m4s"}}, ({"en", SPOKEN.id}, True, False, False), id="a segment is lost"),
        pytest.param({"lost": {"audio/en/init.mp4"}}, (ALL - {"en"}, False, True, False), id="an init section is lost"),
        pytest.param({"lost": {"subtitles/en-sdh/00003.vtt"}}, (ALL - {SPOKEN.id}, False, False, True), id="text is lost"),
    ],
)
def test_what_is_not_the_same_is_made(made: Plan, live: Inventory, changes: Any, expected: object) -> None:
    """One decode makes all rungs and pictures, so that they are taken over together or not at all."""
    found = decide(made, live.model_copy(update={"chunks": (MadeChunk(frames=96, threads=3),)}), **changes)
    assert parts(found) == expected
    assert not found.is_all
    assert bool(found.chunks) != bool(found.rest.chunks), "those of the live version, or new ones"
    kinds = {"video" if name in ("low", "high") else "audio" if name == "en" else "subtitles" for name in found.tracks}
    kinds |= {"thumbnails"} if "low" in found.tracks else set()
    assert {path.partition("/")[0] for path in found.moves} == kinds
    assert (found.pictures is not None) == ("low" in found.tracks)


def test_another_ffmpeg_or_policy_makes_other_media(made: Plan) -> None:
    policy = load_policy()
    stricter = policy.model_copy(update={"true_peak": policy.true_peak.model_copy(update={"highest": -60})})
    first = fingerprints_of(made, policy, ffmpeg="1")
    assert fingerprints_of(made, policy, ffmpeg="1") == first
    for other in (fingerprints_of(made, policy, ffmpeg="2"), fingerprints_of(made, stricter, ffmpeg="1")):
        assert other.video["low"] != first.video["low"]
        assert other.audio["en"] != first.audio["en"]
        assert other.pictures != first.pictures


def test_a_clear_version_is_taken_over_without_keys(made: Plan, live: Inventory) -> None:
    def clear(track: Any) -> dict[str, Any]:
        segments = tuple(replace(segment, key_id=None, iv=None) for segment in track.segments)
        return {"scheme": "none", "segments": segments}

    assert decide(made, with_tracks(live, clear), scheme="none", keys=NO_KEYS).is_all


def test_what_drm_systems_want_of_a_key_stands_in_init_sections_and_of_a_later_one_in_segments(made: Plan, live: Inventory) -> None:
    """Of the key that a track begins with, its init section is sent again. Text, which is clear, is taken over in any case."""
    later = replace(KEY, key_id="ab" * 16)

    def rotated(track: Any) -> dict[str, Any]:
        keys = [None if isinstance(track, SubtitleTrack) else later if segment.index else KEY for segment in track.segments]
        segments = zip(track.segments, keys, strict=True)
        scheme = "none" if isinstance(track, SubtitleTrack) else "cbcs"
        return {"scheme": scheme, "segments": tuple(replace(segment, iv=None, key_id=key and key.key_id) for segment, key in segments)}

    box = base64.b64encode(b"\0\0\0\x20pssh" + bytes(24)).decode()
    wants = {key: (DrmSignal(key_id=key.key_id, system_id="edef8ba9-79d6-4ace-a3c8-27dcd51d21ed", pssh=box),) for key in (KEY, later)}
    before, keys = with_tracks(live, rotated), KeySet((KeyUse(), KeyUse(first=1)), (KEY, later))
    same, first, second = (
        decide(made, before, scheme="cbcs", keys=replace(keys, signals=signals)) for signals in ((), wants[KEY], wants[later])
    )
    inits = {path for track in before.media for path in track.inits.values()}
    firsts = {track.init for track in before.media}
    assert (parts(same), inits - same.moves.keys(), same.spoken) == ((ALL, False, False, False), set(), {})
    assert (parts(first), inits - first.moves.keys(), first.spoken.keys()) == ((ALL, False, False, False), firsts, firsts)
    assert (parts(second), second.spoken) == (({SPOKEN.id}, True, True, False), {})
    said = before.model_copy(update={"drm": wants[later]})
    assert decide(made, said, scheme="cbcs", keys=replace(keys, signals=wants[later])) == same, "what is said already is nothing new"


def test_a_version_without_pictures_gives_no_rungs(made: Plan, live: Inventory) -> None:
    found = decide(made, live.model_copy(update={"pictures": None}))
    assert parts(found) == ({"en", SPOKEN.id}, True, False, False)


def test_tracks_move_to_the_places_of_their_new_ids(made: Plan, live: Inventory) -> None:
    audio = audio_rendition("de").model_copy(update={"language": "de", "name": "German", "default": False})
    text = SPOKEN.model_copy(update={"id": "sub-de", "language": "de", "name": "German", "default": False})
    rungs = tuple(r.model_copy(update={"id": f"{r.id}-2"}) for r in made.video)
    more = text.model_copy(update={"id": "sub-more"})
    plan = made.model_copy(update={"video": rungs, "audio": (audio,), "subtitles": (text, more)})
    texts = {"sub-de": SPOKEN.id, "sub-more": SPOKEN.id}
    media = Fingerprints({"low-2": "low", "high-2": "high"}, {"de": "en"}, texts, "pictures")
    found = decide(plan, live, media)
    assert found.is_all
    for new, old in (("video/low-2", "video/low"), ("video/high-2", "video/high"), ("audio/de", "audio/en")):
        assert {path: origin for path, origin in found.moves.items() if path.startswith(f"{new}/") and path.endswith("m4s")} == {
            f"{new}/0000{n}.m4s": f"{old}/0000{n}.m4s" for n in (1, 2, 3)
        }
    assert found.moves["video/low-2/init.mp4"] == "video/low/init.mp4"
    assert {found.moves[f"subtitles/{id_}/00002.vtt"] for id_ in texts} == {"subtitles/en-sdh/00002.vtt"}
    assert "audio/de/init.mp4" not in found.moves, "its language stands in it"
    assert found.spoken == {"audio/de/init.mp4": ("audio/en/init.mp4", "de")}
    low, german, words = found.tracks["low-2"], found.tracks["de"], found.tracks["sub-de"]
    assert isinstance(low, VideoTrack)
    assert (low.id, low.playlist, low.init, low.facts.id) == ("low-2", "video-low-2.m3u8", "video/low-2/init.mp4", "low-2")
    assert {segment.rendition for segment in low.segments} == {"low-2"}
    assert isinstance(german, AudioTrack)
    assert (german.playlist, german.name, german.language, german.default) == ("audio-de.m3u8", "German", "de", False)
    assert isinstance(words, SubtitleTrack)
    assert (words.playlist, words.name, words.language, words.default) == ("subtitle-sub-de.m3u8", "German", "de", False)
    assert [segment.iv for segment in german.segments] == [segment.iv for segment in live.audio[0].segments]


@pytest.mark.parametrize("order", [1, -1])
def test_of_equal_tracks_that_of_the_same_id_is_taken(made: Plan, live: Inventory, order: int) -> None:
    other = made.model_copy(update={"audio": (audio_rendition("a"),)})
    twin = decide(other, live, replace(SAME, audio={"a": "en"})).tracks["a"]
    both = live.model_copy(update={"audio": (live.audio[0], twin)[::order]})
    plan = made.model_copy(update={"audio": (audio_rendition("a"), audio_rendition("en"))})
    found = decide(plan, both, replace(SAME, audio={"a": "en", "en": "en"}))
    assert (found.moves["audio/a/00001.m4s"], found.moves["audio/en/00001.m4s"]) == ("audio/a/00001.m4s", "audio/en/00001.m4s")


def test_subtitles_that_could_not_be_made_are_not_tried_again(made: Plan, live: Inventory) -> None:
    said = LeftOutTrack(stream=2, kind="subtitles", codec="subrip", reason="it has no text", media=SPOKEN.id)
    other = said.model_copy(update={"media": None, "reason": "no text at all"})
    found = decide(made, live.model_copy(update={"subtitles": (), "left_out": (other, said)}))
    assert found.is_all
    assert [(track.stream, track.language, track.reason, track.media) for track in found.left_out] == [
        (SPOKEN.stream.stream, "en", "it has no text", SPOKEN.id)
    ]


# --- at a target ------------------------------------------------------------------------------------------------------


@pytest.fixture
def target(published: tuple[Path, Inventory], tmp_path: Path) -> Destination:
    """Where the next version goes; the live one lies beside it, in a copy that a test may spoil."""
    folder, live = published
    shutil.copytree(folder, tmp_path / "target")
    storage = LocalStorage(tmp_path / "target")
    protection = Protection(scheme_of("aes-128"), KEYS)
    keys = LocalKeys(KeyStore(tmp_path / "keys"))
    return Destination(storage, "title", "new", keys, protection, gzip=False, shared=Shared(storage, PREFIX, live.entries))


def take(made: Plan, live: Inventory, target: Destination, media: Fingerprints = SAME) -> tuple[Inheritance, Seen]:
    seen = Seen()
    return take_over(made, media, live, target, reporter=seen, cancel=threading.Event(), workers=2), seen


def lose(target: Destination, path: str) -> None:
    (Path(target.storage.location(PREFIX)) / path).unlink()


def test_objects_are_copied_and_named(made: Plan, live: Inventory, target: Destination) -> None:
    found, seen = take(made, live, target)
    assert found.is_all
    assert {item.path: item.entry for item in found.objects} == {
        path: entry for path, entry in live.objects.items() if not path.endswith(".m3u8")
    }
    assert {stored.path.removeprefix("title/new/") for stored in target.storage.list("title/new")} == {*found.moves, TRACK}
    assert target.shared
    assert target.shared.copied == {*found.moves, TRACK}
    assert {event.path for event in seen.events if isinstance(event, Copied)} == target.shared.copied
    assert len(seen.events) == len(target.shared.copied)


def test_without_another_version_everything_is_made(made: Plan, live: Inventory, target: Destination) -> None:
    found, seen = take(made, live, replace(target, shared=None))
    assert (found, seen.events) == (Inheritance(made), [])


@pytest.mark.parametrize(
    ("paths", "left"),
    [
        pytest.param(["audio/en/00002.m4s"], ALL - {"en"}, id="a segment"),
        pytest.param([TRACK], {"en", SPOKEN.id}, id="the thumbnails track"),
        pytest.param(["audio/en/00002.m4s", TRACK], {SPOKEN.id}, id="first the one, then the other"),
    ],
)
def test_what_is_lost_is_made_again_and_a_warning_says_so(
    made: Plan, live: Inventory, target: Destination, paths: list[str], left: set[str]
) -> None:
    for path in paths:
        lose(target, path)
    found, seen = take(made.model_copy(update={"formats": ("hls", "dash")}), live, target)
    assert set(found.tracks) == left
    assert [(event.level, event.text) for event in seen.events if isinstance(event, Note)] == [
        ("warning", f"1 objects of version {live.version} cannot be copied ({path} …): their tracks are made again") for path in paths
    ]
    copied = [event.path for event in seen.events if isinstance(event, Copied)]
    assert len(copied) == len(set(copied)), "nothing is copied twice"


def test_an_init_section_is_sent_again_in_another_language(made: Plan, live: Inventory, target: Destination) -> None:
    german = made.model_copy(update={"audio": (made.audio[0].model_copy(update={"language": "de"}),)})
    found, seen = take(german, live, target)
    assert found.is_all
    old, new = (target.storage.get(f"{prefix}/audio/en/init.mp4") for prefix in (PREFIX, "title/new"))
    assert new == respoken(old, "de") != old
    assert [event.path for event in seen.events if isinstance(event, Uploaded)] == ["audio/en/init.mp4"]
    (sent,) = (item for item in found.objects if item.path == "audio/en/init.mp4")
    assert (sent.size, sent.sha256) == (len(new), hashlib.sha256(new).hexdigest())
    assert target.shared
    assert "audio/en/init.mp4" not in target.shared.copied


def test_an_init_section_that_cannot_be_read_is_made_again(made: Plan, live: Inventory, target: Destination) -> None:
    german = made.model_copy(update={"audio": (made.audio[0].model_copy(update={"language": "de"}),)})
    (Path(target.storage.location(PREFIX)) / "audio/en/init.mp4").write_bytes(b"no boxes at all")
    found, _ = take(german, live, target)
    assert set(found.tracks) == ALL - {"en"}
    lose(target, "audio/en/init.mp4")
    assert set(take(german, live, target)[0].tracks) == ALL - {"en"}


def test_what_an_older_inventory_does_not_say_is_read_from_init_sections(made: Plan, live: Inventory, target: Destination) -> None:
    """DASH asks for it. What cannot be read is made again."""
    plan = made.model_copy(update={"formats": ("hls", "dash"), "audio": (made.audio[0].model_copy(update={"language": "de"}),)})
    unknown = {"colour": None, "layout": None}
    asked = with_tracks(live, lambda track: {"facts": track.facts.model_copy(update=unknown)} if track.id in ("low", "en") else {})
    assert [new.facts == old.facts for new, old in zip(asked.media, live.media, strict=True)] == [False, True, False]
    older = with_tracks(asked, lambda track: {"delay": None} if track.id in ("low", "en") else {})
    found, _ = take(plan, older, target)
    assert [(track.delay, track.facts) for track in found.tracks.values() if isinstance(track, MediaTrack)] == [
        (track.delay, track.facts) for track in sorted(live.media, key=lambda track: list(found.tracks).index(track.id))
    ]
    assert take(made, older, target)[0].tracks["low"] == older.video[0], "HLS does not"
    spoilt = Path(target.storage.location(PREFIX)) / "audio/en/init.mp4"
    spoilt.write_bytes(bytes(spoilt.stat().st_size))
    shared = Shared(target.storage, PREFIX, live.entries)
    again = take(made.model_copy(update={"formats": plan.formats}), older, replace(target, version="newer", shared=shared))[0]
    assert set(again.tracks) == ALL - {"en"}
