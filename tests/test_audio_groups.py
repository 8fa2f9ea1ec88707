"""Audio groups: a variant declares what it plays, 5.1 can be chosen by itself, audio for some viewers never is; what is lost is named."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import pytest

from tests.encode_support import ffmpeg
from tests.ingest_support import Recorder, ingest, ladder, settings, version
from tests.subtitle_support import srt
from tests.test_manifest import LADDER, UHD, audio
from vidpipe.errors import UsageError, VerificationFailed
from vidpipe.inspect.inspection import inspect
from vidpipe.inventory.model import AudioTrack
from vidpipe.manifest.groups import audio_groups, automatic, default_of
from vidpipe.manifest.master import write_master
from vidpipe.manifest.parse import MasterPlaylist, parse
from vidpipe.package.result import TrackFacts
from vidpipe.pipeline.ingest import IngestRequest, IngestResult, prepare
from vidpipe.source.facts import AudioRole
from vidpipe.source.probe import probe
from vidpipe.storage.local import LocalStorage
from vidpipe.verify.audio import MeasuredAudio, check_audio
from vidpipe.verify.readback import Readback

DESCRIBES = "public.accessibility.describes-video"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """English 5.1, its description flagged as default, a commentary, French stereo; a second picture; pictures of words."""
    folder = tmp_path_factory.mktemp("film")
    (folder / "words.srt").write_text(srt(("00:00:00,500", "00:00:01,000", "Hello")))
    noise = "|".join(f"0.2*(random({channel})-0.5)" for channel in range(6))  # six channels that all cost something
    tones = ["-f", "lavfi", "-i", f"aevalsrc={noise}:c=5.1:d=4:s=48000"]
    tones += [option for pitch in (500, 700, 900) for option in ("-f", "lavfi", "-i", f"sine={pitch}:d=4:r=48000")]
    maps = ("-map", "0:v", "-map", "1:a", "-map", "2:a", "-map", "3:a", "-map", "4:a", "-map", "0:v", "-map", "5:s", "-map", "5:s")
    flags = ("-disposition:a:0", "0", "-disposition:a:1", "visual_impaired+default", "-disposition:a:2", "comment", "-disposition:a:3", "0")
    languages = [text for n, tag in enumerate(("eng", "eng", "eng", "fra")) for text in (f"-metadata:s:a:{n}", f"language={tag}")]
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=4"), *tones, "-i", folder / "words.srt", *maps, *flags, *languages,
        *("-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-c:s", "srt"),
        *("-c:a", "aac", "-b:a", "64k", "-b:a:0", "256k", "-ac", "2", "-ac:a:0", "6"),
        *("-metadata:s:s:0", "language=ger", "-metadata:s:s:1", "language=eng"),
        folder / "film.mkv",
    )  # fmt: skip
    data = (folder / "film.mkv").read_bytes()
    # the German words become pictures: same length, for Matroska pads its strings with zeros
    (folder / "film.mkv").write_bytes(data.replace(b"S_TEXT/UTF8", b"S_HDMV/PGS\0", 1))
    return folder / "film.mkv"


def surround(folder: Path, *heights: int) -> str:
    """Write a ladder with 5.1, which it names first."""
    path = Path(ladder(folder, *heights))
    path.write_text(path.read_text().replace("audio:\n", "audio:\n  - {codec: aac, bitrate: 320k, channels: 6}\n"))
    return str(path)


@pytest.fixture(scope="module")
def made(film: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[IngestResult, Recorder]:
    folder, heard = tmp_path_factory.mktemp("made"), Recorder()
    configured = settings(folder).model_copy(update={"ladder": surround(folder, 90, 180)})
    return ingest(IngestRequest(source=str(film), title="Film"), configured, heard), heard


def master_of(result: IngestResult) -> MasterPlaylist:
    playlist = parse(Path(result.manifest).read_bytes())
    assert isinstance(playlist, MasterPlaylist)
    return playlist


def test_every_rung_is_offered_with_stereo_first_and_with_surround(made: tuple[IngestResult, Recorder]) -> None:
    master = master_of(made[0])
    assert [(variant.uri, variant.audio) for variant in master.variants] == [
        ("video-180p.m3u8", "audio-2ch"),
        ("video-90p.m3u8", "audio-2ch"),
        ("video-180p.m3u8", "audio-6ch"),
        ("video-90p.m3u8", "audio-6ch"),
    ]
    assert {variant.subtitles for variant in master.variants} == {"subtitles"}
    # by the rules that the verification does not use: the inspector measures each combination from the bytes
    for variant in inspect(made[0].manifest).variants:
        assert variant.measured is not None
        assert (variant.bandwidth, variant.average_bandwidth) == (variant.measured.peak, variant.measured.average)
    stereo, six = (next(v.bandwidth for v in master.variants if (v.uri, v.audio) == ("video-90p.m3u8", f"audio-{n}ch")) for n in (2, 6))
    assert six > stereo + 50_000, "stereo does not pay for what it does not play"


def test_all_groups_have_the_same_members(made: tuple[IngestResult, Recorder]) -> None:
    members = [member for member in master_of(made[0]).renditions if member.type == "AUDIO"]
    table = [(m.group, m.name, m.language, m.channels, m.default, m.autoselect, m.characteristics, m.uri) for m in members]
    assert table[:4] == [
        ("audio-2ch", "English", "en", "2", True, True, None, "audio-en.m3u8"),
        ("audio-2ch", "English (Audio description)", "en", "2", False, False, DESCRIBES, "audio-en-2.m3u8"),
        ("audio-2ch", "English (Commentary)", "en", "2", False, False, None, "audio-en-3.m3u8"),
        ("audio-2ch", "French", "fr", "2", False, True, None, "audio-fr.m3u8"),
    ]
    assert table[4] == ("audio-6ch", "English", "en", "6", True, True, None, "audio-en-6ch.m3u8")
    assert [row[1:] for row in table[5:]] == [row[1:] for row in table[1:4]], "what was not made in 5.1 stands there in stereo"


def test_the_record_names_the_tracks(made: tuple[IngestResult, Recorder]) -> None:
    record = json.loads((version(made[0]) / "record.json").read_text())
    assert [(track["id"], track["name"], track["role"], track["channels"], track["default"]) for track in record["audio"]] == [
        ("en", "English", "main", 2, True),
        ("en-6ch", "English (5.1)", "main", 6, False),
        ("en-2", "English (Audio description)", "description", 2, False),
        ("en-3", "English (Commentary)", "commentary", 2, False),
        ("fr", "French", "main", 2, False),
    ]


def test_what_is_left_out_is_named_everywhere(made: tuple[IngestResult, Recorder], film: Path, tmp_path: Path) -> None:
    result, heard = made
    left = [(track.stream, track.kind, track.language, track.codec, track.reason) for track in result.record.left_out]
    assert left == [
        (5, "video", None, "h264", "a title has one video track, stream 0"),
        (6, "subtitles", "de", "hdmv_pgs_subtitle", "only text can become WebVTT; this is bitmap or unknown"),
    ]
    warned = heard.warnings
    assert warned == [
        "left out: video stream 5 (h264): a title has one video track, stream 0",
        "left out: subtitles stream 6 (de, hdmv_pgs_subtitle): only text can become WebVTT; this is bitmap or unknown",
    ]
    planned = prepare(IngestRequest(source=str(film)), settings(tmp_path))
    assert [(track.stream, track.reason) for track in planned.left_out] == [(track[0], track[4]) for track in left]


@pytest.mark.parametrize(
    ("name", "flags", "roles"),
    [
        pytest.param("a.mp4", ("visual_impaired", "comment"), ("description", "commentary"), id="mp4"),
        pytest.param("a.mkv", ("hearing_impaired", "comment"), ("clear-speech", "commentary"), id="matroska"),
        pytest.param("a.ts", ("visual_impaired", "hearing_impaired"), ("description", "clear-speech"), id="mpeg-ts"),
    ],
)
def test_roles_are_read_from_every_container(film: Path, tmp_path: Path, name: str, flags: tuple[str, str], roles: tuple[str, str]) -> None:
    maps = ("-map", "0:0", "-map", "0:1", "-map", "0:2", "-map", "0:3", "-c", "copy")
    ffmpeg("-i", film, *maps, "-disposition:a:1", flags[0], "-disposition:a:2", flags[1], tmp_path / name)
    found = probe(str(tmp_path / name))
    assert [track.role for track in found.audio] == ["main", *roles]


# --- the groups themselves --------------------------------------------------------------------------------------------


def test_a_codec_of_the_same_layout_has_a_group_of_its_own() -> None:
    english = audio("en", "English", "en", default=True)
    facts = english.facts.model_copy(update={"codecs": "ec-3", "channels": 6})
    dolby = english.model_copy(update={"facts": facts, "playlist": "dolby.m3u8"})
    six = audio("en-6ch", "English", "en", channels=6)
    french = audio("fr", "French", "fr")
    groups = audio_groups([dolby, six, english, french])
    assert [(group.id, [member.playlist for member in group.members]) for group in groups] == [
        ("audio-2ch", ["audio-en.m3u8", "audio-fr.m3u8"]),
        ("audio-6ch-ec-3", ["dolby.m3u8", "audio-fr.m3u8"]),
        ("audio-6ch-mp4a.40.2", ["audio-en-6ch.m3u8", "audio-fr.m3u8"]),
    ]
    assert [default_of(group).name for group in groups] == ["English"] * 3
    master = parse(write_master([UHD, *LADDER], [dolby, six, english, french]).encode())
    assert isinstance(master, MasterPlaylist)
    assert len(master.variants) == 12
    assert [variant.codecs for variant in master.variants if variant.uri == "video-360p.m3u8"] == [
        ("avc1.64001E", "mp4a.40.2"),
        ("avc1.64001E", "ec-3", "mp4a.40.2"),  # the French of this group
        ("avc1.64001E", "mp4a.40.2"),
    ]


@pytest.mark.parametrize(
    ("roles", "default", "chosen"),
    [
        pytest.param(["description", "main"], "1", ["1"], id="description first"),
        pytest.param(["commentary", "description"], "0", ["0"], id="nothing for everybody"),
        pytest.param(["main", "clear-speech"], "0", ["0"], id="clear speech"),
    ],
)
def test_players_choose_audio_for_everybody(roles: list[AudioRole], default: str, chosen: list[str]) -> None:
    tracks = [
        audio(str(number), str(number), language).model_copy(update={"role": role})
        for number, (role, language) in enumerate(zip(roles, ("en", "fr"), strict=True))
    ]
    (group,) = audio_groups(tracks)
    assert default_of(group).name == default
    assert [track.name for track in automatic(group)] == chosen


# --- the proof --------------------------------------------------------------------------------------------------------


@pytest.fixture
def target(tmp_path: Path) -> Readback:
    return Readback(LocalStorage(tmp_path), "t/v", threading.Event())


TRACKS = [
    audio("en", "English", "en", default=True),
    audio("en-6ch", "English", "en", channels=6),
    audio("ad", "English (Audio description)", "en").model_copy(update={"role": "description"}),
    audio("fr", "French", "fr"),
]
STREAMS = {"en": 1, "en-6ch": 1, "ad": 2, "fr": 3, "fr-6ch": 3}


def check(target: Readback, text: str, tracks: Sequence[AudioTrack] = TRACKS) -> dict[str | None, list[str]]:
    tracks = [track.model_copy(update={"stream": STREAMS[track.id]}) for track in tracks]
    made = {track.playlist: MeasuredAudio(track, track.facts.channels or 0) for track in tracks}
    master = parse(text.encode())
    assert isinstance(master, MasterPlaylist)
    return check_audio(target, "master.m3u8", master, [track.playlist for track in LADDER], made)


def refused(target: Readback, text: str, tracks: Sequence[AudioTrack] = TRACKS) -> tuple[str, str, str, str]:
    """Return what a refusal says: what is wrong, in which line (0 for the whole playlist), what was expected and what found."""
    with pytest.raises(VerificationFailed) as caught:
        check(target, text, tracks)
    assert caught.value.where
    file, _, line = caught.value.where.partition("master.m3u8")
    assert file.endswith("/t/v/")
    expected, found = caught.value.details
    return caught.value.what, line.lstrip(":"), expected.removeprefix("expected: "), found.removeprefix("found: ")


ALL = "['audio-ad.m3u8', 'audio-en-6ch.m3u8', 'audio-en.m3u8', 'audio-fr.m3u8']"
LOST = "['audio-ad.m3u8', 'audio-en.m3u8', 'audio-fr.m3u8']"
STREAMS_OF = ("[(0, 1), (0, 2), (0, 3)]", "[(0, 1), (0, 2)]")
TWICE = "the number of variants with video-720p.m3u8 and audio group audio-2ch is wrong"


@pytest.mark.parametrize(
    ("pattern", "new", "says"),
    [
        pytest.param('AUDIO="audio-6ch"', 'AUDIO="audio-2ch"', (TWICE, "", "1", "2"), id="a rung without its surround"),
        pytest.param(
            'AUDIO="audio-2ch"',
            'AUDIO="audio-8ch"',
            ("the audio group is wrong", "9", "audio-2ch or audio-6ch", "audio-8ch"),
            id="no such group",
        ),
        pytest.param(
            r'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio-6ch".*URI="audio-fr.m3u8"\n',
            "",
            ("the list of tracks in the audio group is wrong", "6", *STREAMS_OF),
            id="no track",
        ),
        pytest.param(
            'CHANNELS="6",URI="audio-en-6ch.m3u8"',
            'CHANNELS="2",URI="audio-en.m3u8"',
            ("the list of audio renditions is wrong", "", ALL, LOST),
            id="lost",
        ),
        pytest.param('CHANNELS="6"', 'CHANNELS="2"', ("CHANNELS is wrong", "6", "6", "2"), id="channels"),
        pytest.param(
            ",CHARACTERISTICS=[^,]*", "", ("CHARACTERISTICS is wrong", "4", DESCRIBES, "None"), id="description is not declared"
        ),
        pytest.param(
            "(description.*)AUTOSELECT=NO",
            r"\1AUTOSELECT=YES",
            ("players may choose this track by themselves (description)", "4", "AUTOSELECT=NO", "YES"),
            id="description is chosen",
        ),
        pytest.param("DEFAULT=YES", "DEFAULT=NO", ("DEFAULT is wrong", "3", "True", "False"), id="no default"),
        pytest.param(
            "DEFAULT=YES,AUTOSELECT=YES",
            "DEFAULT=YES,AUTOSELECT=NO",
            ("the default track has AUTOSELECT=NO", "3", "AUTOSELECT=YES", "NO"),
            id="a default that is not chosen",
        ),
        pytest.param(
            '(GROUP-ID="audio-6ch",NAME=")English"',
            r'\1Englisch"',
            ("NAME is wrong", "6", "English", "Englisch"),
            id="another name in another group",
        ),
        pytest.param(
            '"French"(?s:(.*))"French"',
            r'"English"\1"English"',
            ("the number of names of audio tracks is wrong", "", "3", "2"),
            id="one name for two tracks",
        ),
        pytest.param('LANGUAGE="fr"', 'LANGUAGE="fra"', ("LANGUAGE is wrong", "5", "fr", "fra"), id="language"),
    ],
)
def test_the_proof_sees_what_is_wrong_with_groups(target: Readback, pattern: str, new: str, says: tuple[str, ...]) -> None:
    text = write_master(LADDER, TRACKS)
    assert check(target, text) == {"audio-2ch": ["en", "ad", "fr"], "audio-6ch": ["en-6ch", "ad", "fr"]}
    spoiled = re.sub(pattern, new, text, count=1)
    assert spoiled != text
    assert refused(target, spoiled) == says


def test_the_proof_wants_stereo_first(target: Readback) -> None:
    lines = write_master(LADDER, TRACKS).splitlines()
    head, variants = lines[:-12], [lines[n : n + 2] for n in range(len(lines) - 12, len(lines), 2)]
    turned = "\n".join([*head, *(line for variant in variants[3:] + variants[:3] for line in variant)]) + "\n"
    assert refused(target, turned) == ("the number of channels of the first variant is wrong", "9", "[2]", "[2, 6]")


def test_the_proof_wants_the_best_layout_for_each_group(target: Readback) -> None:
    """The second group has room for surround: its French is."""
    tracks = [TRACKS[0], TRACKS[1], TRACKS[3], audio("fr-6ch", "French", "fr", channels=6)]
    groups = {"a": (0, 2), "b": (0, 3), "c": (1, 2)}
    flags = {1: "LANGUAGE=\"en\",DEFAULT=YES,AUTOSELECT=YES", 3: "LANGUAGE=\"fr\",DEFAULT=NO,AUTOSELECT=YES"}
    text = "#EXTM3U\n#EXT-X-INDEPENDENT-SEGMENTS\n"
    for group, members in groups.items():
        for track in (tracks[number] for number in members):
            what = f'NAME="{track.name}",{flags[STREAMS[track.id]]},CHANNELS="{track.facts.channels}",URI="{track.playlist}"'
            text += f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="{group}",{what}\n'
    for group in groups:
        for rung in LADDER:
            text += f'#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="avc1.64001F,mp4a.40.2",AUDIO="{group}"\n{rung.playlist}\n'
    assert refused(target, text, tracks) == ("the layout in this group is wrong", "5", "6", "2")


def test_titles_of_other_audio_are_proven(target: Readback) -> None:
    """Without any; of surround alone; of a language that nobody knows."""
    silent = write_master(LADDER, [])
    assert check(target, silent, []) == {}
    spoiled = silent.replace("#EXT-X-STREAM-INF:", '#EXT-X-STREAM-INF:AUDIO="a",', 1)
    assert refused(target, spoiled, []) == ("the audio group is wrong", "3", "none", "a")
    for alone, group in (
        (audio("en-6ch", "English", "en", channels=6, default=True), "audio-6ch"),
        (audio("fr", "Track 1", None, default=True), "audio-2ch"),
    ):
        assert check(target, write_master(LADDER, [alone]), [alone]) == {group: [alone.id]}


def test_facts_without_channels_count_as_stereo() -> None:
    bare = audio("en", "English", "en").model_copy(update={"facts": TrackFacts(id="en", type="audio", codecs="mp4a.40.2", timescale=48000)})
    assert [group.id for group in audio_groups([bare])] == ["audio-2ch"]


# --- warnings ---------------------------------------------------------------------------------------------------------


def test_a_title_without_h264_is_warned_about_and_so_is_one_rung(tmp_path: Path) -> None:
    source = tmp_path / "small.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=160x90:r=10:d=1", "-c:v", "libx264", "-preset", "ultrafast", source)
    configured = settings(tmp_path, segment_seconds=Fraction(1)).model_copy(update={"ladder": ladder(tmp_path, 180, 360, codec="hevc")})
    heard = Recorder()
    result = ingest(IngestRequest(source=str(source)), configured, heard)
    first, second = result.warnings
    assert first.startswith("no H.264 rung: browsers and devices that cannot decode HEVC")
    assert second == "only one of 2 rungs is used, because the source is only 160x90: players cannot adapt to a slower connection"
    assert heard.warnings == [first, second]
    again = ingest(IngestRequest(source=str(source)), configured)
    assert (again.unchanged, again.warnings) == (True, result.warnings)


def test_a_small_source_keeps_the_rung_that_plays_everywhere(tmp_path: Path) -> None:
    path = Path(ladder(tmp_path, 180, 360))
    text = path.read_text().replace("360p, height: 360, codec: h264", "low, height: 180, codec: hevc")
    path.write_text(text.replace("bitrate: 360k", "bitrate: 50k"))
    source = tmp_path / "small.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=160x90:r=10:d=1", "-c:v", "libx264", "-preset", "ultrafast", source)
    made = prepare(IngestRequest(source=str(source)), settings(tmp_path).model_copy(update={"ladder": str(path)}))
    assert [(rung.id, rung.make.codec) for rung in made.video] == [("180p", "h264")]
    assert not any("H.264" in warning for warning in made.warnings)


# --- languages that a person gives ------------------------------------------------------------------------------------


def test_a_language_is_given_to_a_track(tmp_path: Path) -> None:
    source = tmp_path / "mute.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=160x90:r=10:d=1", "-f", "lavfi", "-i", "sine=d=1", "-c:v", "libx264", "-c:a", "aac", source)
    configured = settings(tmp_path, 90, segment_seconds=Fraction(1))
    before = ingest(IngestRequest(source=str(source)), configured)
    assert [(track.name, track.language) for track in before.record.audio] == [("Main", None)]
    result = ingest(IngestRequest(source=str(source), languages={None: "de"}), configured)
    assert [(track.name, track.language) for track in result.record.audio] == [("German", "de")]
    assert ('NAME="German",LANGUAGE="de"') in Path(result.manifest).read_text()
    assert result.artifacts == 0, "a language needs no encode"
    assert result.copied == len(list(Path(before.manifest).parent.rglob("*.m4s"))) + 5, "segments, pictures, video's init and playlist"
    assert ingest(IngestRequest(source=str(source), languages={1: "de"}), configured).unchanged
    assert ingest(IngestRequest(source=str(source)), configured).unchanged, "what is not named is kept"
    assert ingest(IngestRequest(source=str(source), languages={1: "fr"}), configured).record.audio[0].language == "fr"
    with pytest.raises(UsageError, match="neither audio nor subtitles"):
        prepare(IngestRequest(source=str(source), languages={7: "de"}), configured)
