"""The DASH manifest, whole, against golden files and the MPEG schema; its time lines as properties; the reader against hostile XML."""

from __future__ import annotations

import base64
import re
import struct
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dash_support import FILM, cuts, heard, pictures, rung, schema, shown, title
from vidpipe.errors import UsageError
from vidpipe.inventory import Inventory
from vidpipe.inventory.model import VideoTrack
from vidpipe.manifest.dash import adaptation_sets
from vidpipe.manifest.dash.buffering import min_buffer_time
from vidpipe.manifest.dash.markup import ManifestError, document
from vidpipe.manifest.dash.mpd import duration_text, from_above, write_mpd
from vidpipe.manifest.dash.read_mpd import read_mpd
from vidpipe.manifest.dash.timeline import Span, template, timeline
from vidpipe.manifest.drm import check_signals
from vidpipe.manifest.format_choice import formats_of, read_formats
from vidpipe.manifest.manifests import manifests
from vidpipe.mp4.writing import full_box
from vidpipe.protect.key_source import DrmSignal

GOLDEN = Path(__file__).parent / "golden"
LENGTH = Fraction(300 * 1001, 24000)  # 300 frames of film
BORDERS = cuts(LENGTH, Fraction(96 * 1001, 24000))
LADDER = (rung(360, BORDERS), rung(720, BORDERS))
LANGUAGES = (
    heard("de", LENGTH, name="Deutsch", label="Deutsch", language="de"),
    heard("en", LENGTH, default=True),
    heard("en-6ch", LENGTH, layout_=6, label="English (5.1)", default=True),
    heard("en-ad", LENGTH, name="English (Audio Description)", role="description"),
    heard("en-cs", LENGTH, name="English (Clear Speech)", role="clear-speech"),
    heard("en-com", LENGTH, name="Director", role="commentary"),
    heard("und", LENGTH, name="Audio 7", language=None),
)
WORDS = (
    shown("en", BORDERS, default=True),
    shown("en-sdh", BORDERS, name="English (SDH)", hearing_impaired=True),
    shown("fr-forced", BORDERS, name='Français <forcé> & "é"\x07', language="fr", forced=True),
    shown("x", BORDERS, name="Text", language=None),
)
HALF = rung(180, BORDERS, rate=FILM / 2)
HDR = rung(2160, BORDERS, codecs="hvc1.2.4.L150.90", video_range="PQ", colour=(9, 16, 9))
AV1 = rung(1080, BORDERS, codecs="av01.0.08M.08", colour=(2, 2, 2))
TITLES = {
    "video-only": title(LADDER[:1], LENGTH),
    "full": title(LADDER, LENGTH, audio=LANGUAGES, subtitles=WORDS, pictures=pictures()),
    "half-rate": title((HALF, *LADDER), LENGTH, audio=LANGUAGES[:1]),
    "codecs-and-hdr": title((HDR, AV1, *LADDER), LENGTH, audio=LANGUAGES[1:3]),
    "odd-shape": title((rung(90, BORDERS, width=202), rung(180, BORDERS, width=406)), LENGTH, pictures=pictures(3)),
    "one-frame": title((rung(90, [Fraction(0), Fraction(1, 24)]),), Fraction(1, 24)),
}


@pytest.mark.parametrize("name", ["full", "video-only"])
def test_manifests_are_exactly_these(name: str) -> None:
    assert write_mpd(TITLES[name]) == (GOLDEN / f"manifest-{name}.mpd").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", TITLES)
@pytest.mark.parametrize("moved", [False, True], ids=["in-its-version", "at-the-address"])
def test_manifests_keep_to_the_schema_of_mpeg(name: str, moved: bool) -> None:
    text = write_mpd(TITLES[name])
    schema().validate(from_above(text, "20261120T221500Z-3fa9c1") if moved else text)


@pytest.mark.parametrize("name", TITLES)
def test_segments_and_times_are_those_of_the_inventory(name: str) -> None:
    made = TITLES[name]
    found = {one.id: one for group in read_mpd(write_mpd(made).encode()).sets for one in group.representations}
    for track in made.tracks:
        one = found[track.playlist.removesuffix(".m3u8")]
        assert [segment.uri for segment in one.segments] == [segment.uri for segment in track.segments]
        assert one.offset == 0
        ends = [Fraction(segment.start + segment.duration, one.timescale) for segment in one.segments]
        skipped = Fraction(1024, 48000) if track in made.audio else 0  # the priming, which the edit list does not show
        assert ends == [segment.start + segment.duration - skipped for segment in track.segments]
        assert one.segments[0].start == 0


def test_nothing_drifts_in_ten_hours() -> None:
    duration = 863_137 * Fraction(1001, 24000)
    made = title([rung(360, cuts(duration, Fraction(144 * 1001, 24000)))], duration)
    text = write_mpd(made)
    assert len(re.findall("<S ", text)) <= 2
    (group,) = read_mpd(text.encode()).sets
    last = group.representations[0].segments[-1]
    assert Fraction(last.start + last.duration, 24000) == duration


def test_the_address_names_the_version_before_all_else() -> None:
    (group, *_) = read_mpd(from_above(write_mpd(TITLES["video-only"]), "v1").encode()).sets
    assert group.representations[0].init == "v1/video/360p/init.mp4"
    assert {segment.uri.partition("/")[0] for segment in group.representations[0].segments} == {"v1"}


def test_adaptation_sets_are_one_for_each_codec_language_and_role() -> None:
    full = read_mpd(write_mpd(TITLES["full"]).encode())
    assert [(group.content_type, group.language, group.roles, group.labels) for group in full.sets] == [
        ("video", None, ("main",), ()),
        ("audio", "en", ("main",), ("English",)),
        ("audio", "en", ("main",), ("English (5.1)",)),
        ("audio", "de", ("main",), ("Deutsch",)),
        ("audio", "en", ("description",), ("English (Audio Description)",)),
        ("audio", "en", ("enhanced-audio-intelligibility",), ("English (Clear Speech)",)),
        ("audio", "en", ("commentary",), ("Director",)),
        ("audio", "und", ("main",), ("Audio 7",)),
        ("text", "en", ("subtitle", "main"), ("English",)),
        ("text", "en", ("caption",), ("English (SDH)",)),
        ("text", "fr", ("forced-subtitle",), ("Français <forcé> & 'é'",)),
        ("text", "und", ("subtitle",), ("Text",)),
        ("image", None, (), ()),
    ]
    mixed = read_mpd(write_mpd(TITLES["codecs-and-hdr"]).encode())
    assert [[one.codecs for one in group.representations] for group in mixed.sets if group.content_type == "video"] == [
        ["avc1.640028", "avc1.640028"], ["hvc1.2.4.L150.90"], ["av01.0.08M.08"],
    ]  # fmt: skip


def test_only_hdr_is_essential_to_understand_and_unknown_colours_are_not_said() -> None:
    text = write_mpd(TITLES["codecs-and-hdr"])
    said = re.findall(r'<(\w+)Property schemeIdUri="urn:mpeg:mpegB:cicp:(\w+)" value="(\d+)"', text)
    codes = {kind: [code for found, _, code in said if found == kind] for kind in ("Essential", "Supplemental")}
    assert codes == {"Essential": ["9", "16", "9"], "Supplemental": ["1", "1", "1"]}


KEY_ID = "0123456789abcdef" * 2
PSSH = base64.b64encode(full_box(b"pssh", 0, 0, bytes(20))).decode()


def under(key_id: str, track: VideoTrack) -> VideoTrack:
    keyed = tuple(replace(segment, key_id=key_id) for segment in track.segments)
    return track.model_copy(update={"segments": keyed, "scheme": "cbcs"})


def test_sets_that_differ_by_their_key_alone_can_be_changed_between() -> None:
    sd, hd, uhd = under(KEY_ID, LADDER[0]), under("1" * 32, LADDER[1]), under("2" * 32, rung(1440, BORDERS))
    text = write_mpd(title((sd, hd, uhd, under("2" * 32, HDR), under("1" * 32, AV1)), LENGTH, audio=LANGUAGES[1:2]))
    schema().validate(text)
    found = {}
    for id_, body in re.findall(r'<AdaptationSet id="(\d)"(.*?)</AdaptationSet>', text, re.S):
        others = re.findall(r'<SupplementalProperty schemeIdUri="urn:mpeg:dash:adaptation-set-switching:2016" value="(.*?)"', body)
        found[re.findall(r'<Representation id="(.*?)"', body)[0]] = (id_, others)
    ids = {name: id_ for name, (id_, _) in found.items()}
    h264 = {"video-360p", "video-720p", "video-1440p"}
    assert len(ids) == 6
    for name, (_, others) in found.items():
        assert others == ([",".join(sorted(ids[other] for other in h264 - {name}))] if name in h264 else [])


def under_cbcs(*signals: DrmSignal) -> str:
    """Return the manifest of a title under cbcs, which the schema allows."""
    whole = title([under(KEY_ID, TITLES["video-only"].video[0])], LENGTH).model_copy(update={"drm": signals})
    text = write_mpd(whole)
    schema().validate(text)
    return text


def test_protected_tracks_name_scheme_and_key() -> None:
    ((first, second),) = [group.protection for group in read_mpd(under_cbcs().encode()).sets]
    assert first[:3] == ("urn:mpeg:dash:mp4protection:2011", "cbcs", "01234567-89ab-cdef-0123-456789abcdef")
    assert second[:2] == ("urn:uuid:e2719d58-a985-b3c9-781a-b030af78d30e", "ClearKey1.0")


def test_keys_that_change_are_listed_for_clear_key_and_default_kid_is_the_first() -> None:
    (track,) = TITLES["video-only"].video
    later = tuple(replace(one, key_id="f" * 32 if one.index else KEY_ID) for one in track.segments)
    text = write_mpd(title([track.model_copy(update={"segments": later, "scheme": "cbcs"})], LENGTH))
    schema().validate(text)
    assert re.findall(r'default_KID="(.*?)"', text) == ["01234567-89ab-cdef-0123-456789abcdef"]
    (listed,) = re.findall("<cenc:pssh>(.*?)</cenc:pssh>", text)
    data = base64.b64decode(listed)
    assert data[12:] == bytes.fromhex(f"1077efecc0b24d02ace33c1e52e2fb4b 00000002 {KEY_ID} {'f' * 32} 00000000")
    assert data[:12] == struct.pack(">I4sI", len(data), b"pssh", 1 << 24)
    assert "pssh" not in under_cbcs()


def signal(system: str, key_id: str = KEY_ID, **said: str) -> DrmSignal:
    return DrmSignal(key_id=key_id, system_id=system, **said)


def test_what_drm_systems_want_to_be_said_stands_in_descriptors_of_their_own() -> None:
    said = (
        '<pssh xmlns="urn:mpeg:cenc:2013">AAAB</pssh><mspr:pro xmlns:mspr="urn:microsoft:playready" mspr:v="1">AAAC&amp;</mspr:pro>'
    )
    text = under_cbcs(
        signal("edef8ba9-79d6-4ace-a3c8-27dcd51d21ed", pssh=PSSH),
        signal("9a04f079-9840-4286-ab92-e65be0885f95", content_protection=base64.b64encode(said.encode()).decode(), pssh=PSSH),
        signal("94ce86fb-07ff-4f43-adb8-93d2fa968ca2", hls_media="AAAA"),
        signal("edef8ba9-79d6-4ace-a3c8-27dcd51d21ed", key_id="f" * 32, pssh=PSSH),
    )
    widevine, playready = re.findall(r'<ContentProtection schemeIdUri="urn:uuid:(.*?)">\s*(.*?)\s*</ContentProtection>', text, re.S)
    assert widevine == ("edef8ba9-79d6-4ace-a3c8-27dcd51d21ed", f"<cenc:pssh>{PSSH}</cenc:pssh>")
    assert playready[0] == "9a04f079-9840-4286-ab92-e65be0885f95"
    assert re.split(r"\n\s*", playready[1]) == [
        '<pssh xmlns="urn:mpeg:cenc:2013">AAAB</pssh>',
        '<pro xmlns="urn:microsoft:playready" v="1">AAAC&amp;</pro>',
    ]


@pytest.mark.parametrize("said", ["?", base64.b64encode(b"<pssh>").decode(), base64.b64encode(b"\xff").decode()])
def test_what_is_no_xml_is_refused_before_anything_is_encoded(said: str) -> None:
    with pytest.raises(ValueError, match="DASH that is no XML"):
        check_signals([signal("edef8ba9-79d6-4ace-a3c8-27dcd51d21ed", content_protection=said)])


def test_a_title_without_dash_has_playlists_alone_and_one_that_cannot_be_listed_is_a_bug() -> None:
    only = TITLES["video-only"]
    assert [*manifests(only)][-2:] == ["master.m3u8", "manifest.mpd"]
    assert "manifest.mpd" not in manifests(only.model_copy(update={"formats": ("hls",)}))
    whole = only.model_copy(update={"video": (only.video[0].model_copy(update={"scheme": "aes-128"}),)})
    with pytest.raises(ValueError, match="encrypted whole"):
        write_mpd(whole)
    older = title(LADDER, LENGTH, audio=(LANGUAGES[0].model_copy(update={"delay": None}),))
    with pytest.raises(ValueError, match="edit list"):
        write_mpd(older)


# --- times ----------------------------------------------------------------------------------------------------------

RUNS = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3)), min_size=1, max_size=12)


@given(st.integers(0, 50), RUNS)
@settings(max_examples=60)
def test_a_time_line_is_read_as_it_was_meant(first: int, runs: list[tuple[int, int]]) -> None:
    spans: list[Span] = []
    time = first
    for duration, gap in runs:
        spans.append(Span(time, duration))
        time += duration + (gap if gap == 3 else 0)  # now and then a hole
    text = document(timeline(spans))
    whole = f"""<MPD type="static" mediaPresentationDuration="PT9S"><Period><AdaptationSet><Representation id="a" bandwidth="1">
        <SegmentTemplate media="$Number$.m4s">{text.partition("?>")[2]}</SegmentTemplate></Representation></AdaptationSet></Period></MPD>"""
    found = read_mpd(whole.encode()).sets[0].representations[0].segments
    assert [(segment.start, segment.duration) for segment in found] == spans


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 4)), min_size=1, max_size=10))
@settings(max_examples=60)
def test_the_buffer_is_the_least_that_never_runs_dry(shapes: list[tuple[int, int]]) -> None:
    borders = [Fraction(0)]
    for _, seconds in shapes:
        borders.append(borders[-1] + seconds)
    made = rung(90, borders)
    sized = tuple(
        replace(segment, size=size * 1000)
        for segment, (size, _) in zip(made.segments, shapes, strict=True)
    )
    track = made.model_copy(update={"segments": sized})
    # Of video, what is shown is what was cut.
    slowest = Fraction(0)  # from every segment on: the bits up to the end of each, at the declared rate, before it has to be shown
    for first in range(len(sized)):
        for last in range(first, len(sized)):
            sent = Fraction(8 * sum(segment.size for segment in sized[first : last + 1]), track.bitrate.peak)
            slowest = max(slowest, sent - sum(segment.duration for segment in sized[first:last]))
    assert min_buffer_time([track]) == slowest


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(Fraction(0), "PT0S"), (Fraction(12), "PT12S"), (Fraction(25025, 2000), "PT12.5125S"), (Fraction(1, 3), "PT0.333334S")],
)
def test_durations_are_rounded_up_so_that_no_last_frame_is_cut_off(seconds: Fraction, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["video/a$b/00001.m4s", "video/a$b/00002.m4s"], "video/a$$b/$Number%05d$.m4s"),
        ([f"v/{number:05d}.m4s" for number in range(1, 100_002)], "v/$Number%05d$.m4s"),
        (["thumbnails/sprite-001.jpg"], "thumbnails/sprite-$Number%03d$.jpg"),
    ],
)
def test_templates_name_the_files_as_they_are(paths: list[str], expected: str) -> None:
    assert template(paths) == expected
    with pytest.raises(ValueError, match="number"):
        template([*paths, paths[0]])


# --- formats --------------------------------------------------------------------------------------------------------


def test_the_encryption_decides_which_formats_there_can_be() -> None:
    assert formats_of(None, "none").made == formats_of("hls,dash", "none").made == ("hls", "dash")
    assert formats_of("hls", "none").made == ("hls",)
    left = formats_of(None, "aes-128")
    assert left.made == ("hls",)
    assert left.left_out is not None
    with pytest.raises(UsageError, match="DASH cannot carry aes-128") as refused:
        formats_of("hls,dash", "aes-128")
    assert refused.value.fix is not None
    assert refused.value.fix == "give --encrypt cbcs or cenc or none, or --formats hls"
    assert [formats_of(None, scheme).made for scheme in ("cbcs", "cenc")] == [("hls", "dash")] * 2


def test_the_setting_is_a_list_of_formats() -> None:
    assert read_formats(" DASH , hls") == "hls,dash"
    for wrong, what in (("dash", "every title has HLS"), ("hls,smooth", "'smooth' is not a format"), ("", "'' is not a format")):
        with pytest.raises(UsageError, match=re.escape(what)):
            read_formats(wrong)


# --- reading --------------------------------------------------------------------------------------------------------

OTHERS = """<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="p" mediaPresentationDuration="PT1M0.5S" minBufferTime="P0DT2S">
<BaseURL>http://cdn.example.com/a/</BaseURL>
<Period duration="PT30S"><BaseURL>one/</BaseURL>
 <AdaptationSet mimeType="video/mp4" frameRate="25" codecs="avc1.4d401f"><SegmentTemplate timescale="10" startNumber="7"
   presentationTimeOffset="100" media="$RepresentationID$/$Time$-$Bandwidth$.m4s" initialization="$RepresentationID$/i.mp4">
   <SegmentTimeline><S t="100" d="60" r="-1"/></SegmentTimeline></SegmentTemplate>
  <Representation id="v" bandwidth="5" width="16" height="9"/>
  </AdaptationSet><AdaptationSet><Representation id="w" bandwidth="6"><SegmentTemplate startNumber="7" duration="7"
    timescale="1" presentationTimeOffset="0" media="$Number$$$.m4s"></SegmentTemplate></Representation></AdaptationSet></Period>
<Period><AdaptationSet contentType="text" lang="de"><Representation id="t" bandwidth="1"><BaseURL>t.vtt</BaseURL></Representation>
</AdaptationSet></Period></MPD>"""


def test_manifests_of_others_are_read() -> None:
    found = read_mpd(OTHERS.encode())
    assert (found.type, found.duration, found.min_buffer_time, found.periods) == ("static", Fraction(121, 2), 2, 2)
    (v,), (w,), (t,) = (group.representations for group in found.sets)
    assert [(segment.uri, segment.start, segment.duration) for segment in v.segments] == [
        (f"http://cdn.example.com/a/one/v/{time}-5.m4s", time, 60) for time in range(100, 400, 60)
    ]
    assert (v.init, v.offset, v.frame_rate, v.width) == ("http://cdn.example.com/a/one/v/i.mp4", 100, 25, 16)
    assert [segment.uri.rpartition("/")[2] for segment in w.segments] == ["7$.m4s", "8$.m4s", "9$.m4s", "10$.m4s", "11$.m4s"]
    assert (t.addressing, t.file) == ("file", "http://cdn.example.com/a/t.vtt")


def in_template(inner: str, more: str = "") -> str:
    template = f'<SegmentTemplate media="$Number$.m4s" {more}>{inner}</SegmentTemplate>'
    representation = f'<Representation id="a" bandwidth="1">{template}</Representation>'
    return f'<MPD mediaPresentationDuration="PT9S"><Period><AdaptationSet>{representation}</AdaptationSet></Period></MPD>'


@pytest.mark.parametrize(
    ("text", "what"),
    [
        pytest.param('<!DOCTYPE MPD [<!ENTITY a "b">]><MPD>&a;</MPD>', "document type", id="doctype"),
        pytest.param('<!DOCTYPE MPD SYSTEM "file:///etc/passwd"><MPD/>', "document type", id="external"),
        pytest.param("<MPD>&lol;</MPD>", "not XML", id="entity"),
        pytest.param("<MPD>", "not XML", id="cut-off"),
        pytest.param("\x00", "not XML", id="nothing"),
        pytest.param("<?xml version='1.0' encoding='none-such'?><MPD/>", "not XML", id="encoding"),
        pytest.param("<a>" * 100_000, "nested too deeply", id="deep"),
        pytest.param("<SmoothStreamingMedia/>", "not MPD", id="smooth"),
        pytest.param("<MPD/>", "no Period", id="empty"),
        pytest.param('<MPD type="live"><Period/></MPD>', "not static or dynamic", id="type"),
        pytest.param('<MPD mediaPresentationDuration="9"><Period/></MPD>', "not a duration", id="duration"),
        pytest.param(in_template('<SegmentTimeline><S d="1" r="999999999"/></SegmentTimeline>'), "more than", id="many"),
        pytest.param(in_template("", 'timescale="999999999" duration="1"'), "more than", id="many-even"),
        pytest.param(in_template('<SegmentTimeline><S d="x"/></SegmentTimeline>'), "not a whole number", id="number"),
        pytest.param(in_template('<SegmentTimeline><S d="0"/></SegmentTimeline>'), "no duration d", id="zero"),
        pytest.param(in_template("", 'timescale="0" duration="1"'), "timescale is 0", id="timescale"),
        pytest.param(in_template(""), "neither", id="no-times"),
        pytest.param(in_template("", 'duration="1"').replace("$Number$", "$Nummer$"), "no template", id="identifier"),
        pytest.param(in_template("", 'duration="9"').replace('id="a" ', ""), "no id", id="no-id"),
    ],
)
def test_what_is_no_manifest_is_refused_and_says_why(text: str, what: str) -> None:
    with pytest.raises(ManifestError, match=what):
        read_mpd(text.encode())


@given(st.binary(max_size=200))
@settings(max_examples=50)
def test_no_bytes_make_the_reader_fail_otherwise(data: bytes) -> None:
    for text in (data, write_mpd(TITLES["video-only"]).encode().replace(b"96096", data)):
        with suppress(ManifestError):
            read_mpd(text)


def test_the_order_of_adaptation_sets_is_the_same_each_time() -> None:
    first, second = (write_mpd(Inventory.model_validate_json(TITLES["full"].model_dump_json())) for _ in range(2))
    assert first == second == write_mpd(TITLES["full"])
    assert [one.get("id") for one in adaptation_sets.adaptation_sets(TITLES["full"])] == [str(number) for number in range(1, 14)]
