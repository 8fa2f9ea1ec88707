"""The proof of the DASH manifest: what it says of a title passes, and every number in it that is another is found and named."""

from __future__ import annotations

import base64
import random
import re
import threading
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from tests.dash_support import cuts, heard, pictures, rung, shown, title
from vidpipe.errors import VerificationFailed
from vidpipe.inventory.measure import measure
from vidpipe.inventory.model import Inventory, MediaTrack
from vidpipe.manifest.dash.mpd import write_mpd
from vidpipe.mp4.writing import full_box
from vidpipe.protect.key_source import DrmSignal
from vidpipe.storage.local import LocalStorage
from vidpipe.verify.manifest import check_manifest
from vidpipe.verify.readback import Readback

LENGTH = Fraction(300 * 1001, 24000)
BORDERS = cuts(LENGTH, Fraction(96 * 1001, 24000))
WHOLE = title(
    [rung(360, BORDERS), rung(720, BORDERS)],
    LENGTH,
    audio=(heard("en", LENGTH, default=True), heard("en-6ch", LENGTH, layout_=6), heard("und", LENGTH, name="Audio 7", language=None)),
    subtitles=(shown("en-text", BORDERS), shown("x", BORDERS, name="Text", language=None)),
    pictures=pictures(),
)


def check(folder: Path, made: Inventory, text: str, delays: Mapping[str, int] | None = None) -> None:
    """Prove a manifest of a title whose bytes are as its inventory says. delays: as measured, where they are others."""
    edits = {track.id: track.delay or 0 for track in made.media}
    facts, rates = {track.id: track.facts for track in made.media}, {track.id: track.bitrate for track in made.tracks}
    check_manifest(Readback(LocalStorage(folder), "film/v", threading.Event()), made, text.encode(), facts, rates, edits | (delays or {}))


def refused(folder: Path, made: Inventory, text: str, delays: Mapping[str, int] | None = None) -> tuple[str, str, str, str]:
    """Return what a refusal says: what is wrong, the text of the line ("" for the whole manifest), what was expected, what found."""
    with pytest.raises(VerificationFailed) as caught:
        check(folder, made, text, delays)
    file, _, line = (caught.value.where or "").partition("manifest.mpd")
    assert file == f"{folder}/film/v/"
    expected, found = caught.value.details
    words = text.splitlines()[int(line[1:]) - 1].strip() if line else ""
    return caught.value.what, words, expected.removeprefix("expected: "), found.removeprefix("found: ")


LOW, HIGH = ('<Representation id="video-360p"', '<Representation id="video-720p"')
NAMES = ["audio-en", "audio-en-6ch", "audio-und", "subtitle-en-text", "subtitle-x", "thumbnails", "video-360p", "video-720p"]
SEGMENTS = [f"video/720p/{number:05d}.m4s" for number in range(1, 5)]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        pytest.param("<Period", "<Perio", ("the manifest cannot be read", "", "a DASH manifest", "line 2: .*not XML.*|.*"), id="xml"),
        pytest.param(
            '"static"', '"dynamic"', ("the type and the number of Periods is wrong", "", r"\('static', 1\)", r"\('dynamic', 1\)"), id="type"
        ),
        pytest.param(
            "</MPD>",
            "<Period/></MPD>",
            ("the type and the number of Periods is wrong", "", r"\('static', 1\)", r"\('static', 2\)"),
            id="periods",
        ),
        pytest.param(
            'n="PT12.5125S', 'n="PT12.512499S', ("mediaPresentationDuration is wrong", "", "12.5125", "12.512499"), id="a title too short"
        ),
        pytest.param(
            'n="PT12.5125S', 'n="PT12.512501S', ("mediaPresentationDuration is wrong", "", "12.5125", "12.512501"), id="a title too long"
        ),
        pytest.param(
            ' mediaPresentationDuration="[^"]*"',
            "",
            ("mediaPresentationDuration is wrong", "", "12.5125", "None"),
            id="a title of any length",
        ),
        pytest.param(
            r'(minBufferTime="PT[\d.]+)[1-9]S',
            r"\g<1>0S",
            ("minBufferTime is wrong", "", r"4\.0064\d+", r"4\.00647"),
            id="a buffer that runs dry",
        ),
        pytest.param(
            r'minBufferTime="PT4',
            r'minBufferTime="PT5',
            ("minBufferTime is wrong", "", r"4\.0064\d+", r"5\.00647\d*"),
            id="a wait for nothing",
        ),
        pytest.param(' minBufferTime="[^"]*"', "", ("minBufferTime is wrong", "", r"4\.0064\d+", "None"), id="no buffer"),
        pytest.param(
            'id="video-720p"',
            'id="video-721p"',
            ("the list of Representations is wrong", "", re.escape(str(NAMES)), re.escape(str([*NAMES[:-1], "video-721p"]))),
            id="a rung of another name",
        ),
        pytest.param(
            '(?s)<Representation id="thumbnails".*?</Representation>',
            "",
            ("the list of Representations is wrong", "", re.escape(str(NAMES)), re.escape(str([*NAMES[:5], *NAMES[6:]]))),
            id="no pictures",
        ),
        pytest.param('bandwidth="1728400"', 'bandwidth="1728401"', ("bandwidth is wrong", HIGH, "1728400", "1728401"), id="bandwidth"),
        pytest.param(
            "video/720p/init.mp4",
            "video/360p/init.mp4",
            ("the init section is wrong", HIGH, "video/720p/init.mp4", "video/360p/init.mp4"),
            id="init section",
        ),
        pytest.param(
            r"video/720p/\$",
            "video/360p/$",
            ("the list of segments is wrong", HIGH, re.escape(str(SEGMENTS)), re.escape(str(SEGMENTS).replace("720", "360"))),
            id="segments",
        ),
        pytest.param(
            'timescale="24000"',
            'timescale="24000" presentationTimeOffset="9"',
            ("presentationTimeOffset is wrong", LOW, "0", "9"),
            id="offset",
        ),
        pytest.param(
            '<S d="12012" />',
            '<S d="12013" />',
            (
                "when video/360p/00004.m4s is shown (s) is wrong",
                '<S d="12013" />',
                r".*1001/80\)",
                r".*300301/24000\)",
            ),
            id="a segment that lasts too long",
        ),
        pytest.param(
            '<S t="0" d="96096" r="2" />',
            '<S t="5" d="96096" r="2" />',
            (
                "when video/360p/00001.m4s is shown (s) is wrong",
                '<S t="5" d="96096" r="2" />',
                r"\(0, .*",
                r"\(1/4800, .*",
            ),
            id="a segment that comes late",
        ),
        pytest.param('codecs="avc1.640028"', 'codecs="avc1.640029"', ("codecs is wrong", LOW, "avc1.640028", "avc1.640029"), id="codecs"),
        pytest.param(
            'width="640"',
            'width="642"',
            ("size, frameRate and sar is wrong", LOW, r"\(640, 360, 24000/1001, '1:1'\)", r"\(642, .*"),
            id="width",
        ),
        pytest.param('sar="1:1"', 'sar="4:3"', ("size, frameRate and sar is wrong", LOW, r".*'1:1'\)", r".*'4:3'\)"), id="sar"),
        pytest.param(
            'Rate="48000"',
            'Rate="44100"',
            ("audioSamplingRate is wrong", '<Representation id="audio-en"', "48000", "44100"),
            id="sample rate",
        ),
        pytest.param(
            'ChannelConfiguration" value="6"',
            'ChannelConfiguration" value="2"',
            ("the channel configuration is wrong", '<Representation id="audio-en-6ch"', r"\['6'\]", r"\['2'\]"),
            id="channels",
        ),
        pytest.param(
            'lang="und"', 'lang="en"', ("the language is wrong", '<Representation id="audio-und"', "und", "en"), id="audio of no language"
        ),
        pytest.param(
            '(?s)(contentType="text" )lang="en"',
            r'\1lang="fr"',
            ("the language is wrong", '<Representation id="subtitle-en-text"', "en", "fr"),
            id="subtitles of another language",
        ),
        pytest.param(
            r"\$Number%03d\$",
            "$Number%04d$",
            (
                "the sprite sheets is wrong",
                '<Representation id="thumbnails"',
                r"\['thumbnails/sprite-001.jpg'\]",
                r"\['thumbnails/sprite-0001.jpg'\]",
            ),
            id="sprites",
        ),
    ],
)
def test_a_manifest_that_says_something_else(tmp_path: Path, old: str, new: str, says: tuple[str, str, str, str]) -> None:
    text = write_mpd(WHOLE)
    spoiled = re.sub(old, new, text, count=1)
    assert spoiled != text
    what, line, expected, found = refused(tmp_path, WHOLE, spoiled)
    assert (what, line[: len(says[1])]) == says[:2]
    assert bool(line) == bool(says[1])
    assert re.fullmatch(says[2], expected), expected
    assert re.fullmatch(says[3], found), found


def test_the_time_scale_is_that_of_the_samples(tmp_path: Path) -> None:
    """Players add what it counts to the decode times of the segments."""
    text = (
        write_mpd(WHOLE).replace('timescale="24000"', 'timescale="48000"').replace('d="96096"', 'd="192192"').replace('"12012"', '"24024"')
    )
    assert refused(tmp_path, WHOLE, text) == (
        "timescale is wrong",
        next(x.strip() for x in text.splitlines() if LOW in x),
        "24000",
        "48000",
    )


def test_what_the_edit_list_skips_of_audio_is_not_on_the_time_line(tmp_path: Path) -> None:
    what, line, expected, found = refused(tmp_path, WHOLE, write_mpd(WHOLE), {"en": 2048})
    assert (what, line) == ("when audio/en/00001.m4s is shown (s) is wrong", '<S t="0" d="191488" r="2" />')
    assert (expected, found) == ("(0, 496/125)", "(0, 1496/375)")


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(title([rung(360, BORDERS)], LENGTH), id="video alone"),
        pytest.param(
            title([rung(360, BORDERS)], LENGTH, pictures=pictures().model_copy(update={"sprites": None})), id="unmeasured pictures"
        ),
        pytest.param(title([rung(360, cuts(Fraction(7, 3), Fraction(1, 2)), rate=Fraction(6))], Fraction(7, 3)), id="no decimal duration"),
        pytest.param(WHOLE, id="whole"),
    ],
)
def test_titles_of_every_kind_are_proven(tmp_path: Path, made: Inventory) -> None:
    check(tmp_path, made, write_mpd(made))


def test_channels_that_nobody_measured_are_not_said(tmp_path: Path) -> None:
    """Those of an earlier vidpipe: the inventory does not know how they lie."""
    plain = heard("en", LENGTH, default=True)
    made = title([rung(360, BORDERS)], LENGTH, audio=(plain.model_copy(update={"facts": plain.facts.model_copy(update={"layout": None})}),))
    check(tmp_path, made, write_mpd(made))


def test_a_player_waits_no_microsecond_longer_than_it_must(tmp_path: Path) -> None:
    made = title([rung(90, [Fraction(0), Fraction(2)], rate=Fraction(24))], Fraction(2))
    text = write_mpd(made)
    check(tmp_path, made, text)
    longer = text.replace('minBufferTime="PT2S"', 'minBufferTime="PT2.000001S"')
    assert refused(tmp_path, made, longer) == ("minBufferTime is wrong", "", "2.0", "2.000001")


def test_the_buffer_is_reckoned_for_every_beginning(tmp_path: Path) -> None:
    """Segments of any size and length: one microsecond less than what the fullest run of them needs, and players stop."""
    numbers = random.Random(11)
    for _ in range(12):
        borders = [Fraction(0)]
        for _ in range(numbers.randint(1, 9)):
            borders.append(borders[-1] + Fraction(numbers.randint(1, 12), 24))
        plain = rung(90, borders, rate=Fraction(24))
        sized = tuple(replace(one, size=numbers.choice((100, 900, 5000, 20000))) for one in plain.segments)
        track = plain.model_copy(update={"segments": sized, "bitrate": measure(sized, 1)})
        made = title([track], borders[-1])
        text = write_mpd(made)
        check(tmp_path, made, text)
        less = re.sub(r'(?<=minBufferTime="PT)[\d.]+', lambda found: f"{float(found[0]) - 0.000001:.6f}", text)
        assert refused(tmp_path, made, less)[0] == "minBufferTime is wrong"


# --- protection -----------------------------------------------------------------------------------------------------

KEY_ID = "0123456789abcdef" * 2
WIDEVINE, PLAYREADY = ("edef8ba9-79d6-4ace-a3c8-27dcd51d21ed", "9a04f079-9840-4286-ab92-e65be0885f95")
PSSH = base64.b64encode(full_box(b"pssh", 0, 0, bytes(20))).decode()
PRO = base64.b64encode(
    f'<pssh xmlns="urn:mpeg:cenc:2013">\n{PSSH}\n</pssh><pssh/><pro xmlns="urn:microsoft:playready">AAAC</pro>'.encode()
).decode()


def under(key_id: str, track: MediaTrack) -> MediaTrack:
    keyed = tuple(replace(segment, key_id=key_id) for segment in track.segments)
    return track.model_copy(update={"segments": keyed, "scheme": "cbcs"})


def protected(*signals: DrmSignal) -> Inventory:
    video = under(KEY_ID, rung(360, BORDERS))
    clear = heard("en", LENGTH, default=True)
    return title([video], LENGTH, audio=(clear,)).model_copy(update={"drm": signals})  # type: ignore[list-item]


DRM = protected(
    DrmSignal(key_id=KEY_ID, system_id=WIDEVINE, pssh=PSSH),
    DrmSignal(key_id=KEY_ID, system_id=PLAYREADY, content_protection=PRO),
    DrmSignal(key_id=KEY_ID, system_id="94ce86fb-07ff-4f43-adb8-93d2fa968ca2", hls_media="AAAA"),
    DrmSignal(key_id="f" * 32, system_id=WIDEVINE, pssh=PSSH),
)
SYSTEMS = "the key systems of ContentProtection and their pssh is wrong"
CLEAR_KEY = "[('urn:uuid:e2719d58-a985-b3c9-781a-b030af78d30e', ())]"
SAID = f"[('urn:uuid:{PLAYREADY}', ('{PSSH}', '')), ('urn:uuid:{WIDEVINE}', ('{PSSH}',))]"


def test_what_players_must_know_of_keys_is_proven(tmp_path: Path) -> None:
    for made in (protected(), DRM):
        check(tmp_path, made, write_mpd(made))


@pytest.mark.parametrize(
    ("made", "old", "new", "says"),
    [
        pytest.param(
            DRM,
            "01234567-89ab",
            "01234567-89ac",
            ("ContentProtection is wrong", LOW, f"[('cbcs', '{KEY_ID}')]", f"[('cbcs', '{KEY_ID.replace('89ab', '89ac', 1)}')]"),
            id="another key",
        ),
        pytest.param(
            DRM,
            'value="cbcs"',
            'value="cenc"',
            ("ContentProtection is wrong", LOW, f"[('cbcs', '{KEY_ID}')]", f"[('cenc', '{KEY_ID}')]"),
            id="another scheme",
        ),
        pytest.param(
            DRM,
            "(?s)<ContentProtection.*</ContentProtection>",
            "",
            ("ContentProtection is wrong", LOW, f"[('cbcs', '{KEY_ID}')]", "[]"),
            id="nothing",
        ),
        pytest.param(
            DRM,
            f">{PSSH}</cenc:pssh>",
            ">AAAB</cenc:pssh>",
            (SYSTEMS, LOW, SAID, SAID.replace(f"('{PSSH}',)", "('AAAB',)")),
            id="another license",
        ),
        pytest.param(
            protected(), '(?s)<ContentProtection schemeIdUri="urn:uuid[^>]*>', "", (SYSTEMS, LOW, CLEAR_KEY, "[]"), id="no system"
        ),
        pytest.param(
            protected(),
            '(contentType="audio"[^>]*>)',
            r'\1<ContentProtection schemeIdUri="urn:uuid:1" />',
            (SYSTEMS, '<Representation id="audio-en"', "[]", "[('urn:uuid:1', ())]"),
            id="clear audio that asks for a license",
        ),
    ],
)
def test_protection_that_says_something_else(tmp_path: Path, made: Inventory, old: str, new: str, says: tuple[str, str, str, str]) -> None:
    """A player asks for the license of the key that it reads here, and for none where it reads of none."""
    text = write_mpd(made)
    spoiled = re.sub(old, new, text, count=1)
    assert spoiled != text
    what, line, *details = refused(tmp_path, made, spoiled)
    assert (what, line[: len(says[1])], *details) == says
