"""What only the whole title knows of an init section: the common delay, the language, the measured rates, the media profiles."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from tests.package_support import audio_rendition, audio_segments, encode_audio, encode_video, frames_of, grid, rung, shown, video_segments
from vidpipe.mp4 import codecs
from vidpipe.mp4.boxes import Box, children, find, parse_movie
from vidpipe.package.init import InitSection, aligned, read_init, respoken
from vidpipe.package.rates import StreamRates
from vidpipe.plan import Chunk
from vidpipe.work.artifacts import Artifact

ON = grid("30", frames=60, gop=30, segment=60)
CHUNK = Chunk(index=0, start=0, frames=60)
TAGGED = ("-x264-params", "colorprim=bt709:transfer=bt709:colormatrix=bt709")
RATES = StreamRates(buffer=0x012345, peak=300_000, average=200_000)


@pytest.fixture(scope="module")
def rungs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Artifact, int]]:
    """One title in several codecs; with the step of each rung."""
    folder = tmp_path_factory.mktemp("rungs")
    made = {"avc": ("h264", 1), "half": ("h264", 2), "plain": ("h264", 1), "hevc": ("hevc", 1), "av1": ("av1", 1)}
    extra = {"avc": ("-preset", "medium", *TAGGED), "half": ("-preset", "medium"), "plain": ("-bf", "0")}
    for name in made:
        (folder / name).mkdir()
    return {n: (encode_video(folder / n, ON, CHUNK, codec, extra.get(n, ()), step), step) for n, (codec, step) in made.items()}


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return encode_audio(tmp_path_factory.mktemp("audio"))


def box(data: bytes, *path: str) -> bytes:
    """The body of a box of an init section."""
    found = find(data, *path)
    assert found, path
    return data[found.body : found.end]


def entry_boxes(init: InitSection) -> dict[str, bytes]:
    """The boxes of the sample entry."""
    entry = parse_movie(init.data).tracks[0].entry
    fields = codecs.AUDIO_FIELDS if init.facts.type == "audio" else codecs.VISUAL_FIELDS
    return {child.type: entry[child.body : child.end] for child in children(entry, 8 + fields)}


def test_all_rungs_have_the_delay_of_the_slowest(rungs: dict[str, tuple[Artifact, int]], tmp_path: Path) -> None:
    """Two frames at 15 fps. Every rung is still shown from 0 on, frame by frame. AV1 may not have composition offsets."""
    inits = aligned({name: read_init(artifact.path, name) for name, (artifact, _) in rungs.items()}, ON.duration)
    for name, (artifact, step) in rungs.items():
        track = parse_movie(inits[name].data).tracks[0]
        assert [Fraction(e.media_time, track.timescale) for e in track.edits] == ([] if name == "av1" else [Fraction(2, 15)])
        (segment,) = video_segments(artifact, rung(name, step=step), CHUNK, ON, inits[name])
        tick = track.timescale // 30
        assert shown(inits[name].data + segment.data, tmp_path) == [tick * number for number in range(0, 60, step)]


@pytest.mark.parametrize(
    ("language", "packed", "extended"),
    [
        pytest.param(None, "und", None, id="none"),
        pytest.param("en", "eng", None, id="two-letters"),
        pytest.param("de", "deu", None, id="terminology-code"),
        pytest.param("cmn", "cmn", None, id="three-letters"),
        pytest.param("pt-BR", "por", "pt-BR", id="region"),
        pytest.param("zh-Hant", "zho", "zh-Hant", id="script"),
    ],
)
def test_the_media_header_names_the_language(audio: Artifact, language: str | None, packed: str, extended: str | None) -> None:
    data = replace(read_init(audio.path, "a"), language=language).data
    value = int.from_bytes(box(data, "moov", "trak", "mdia", "mdhd")[20:22], "big")
    assert "".join(chr(0x60 + (value >> shift & 31)) for shift in (10, 5, 0)) == packed
    elng = find(data, "moov", "trak", "mdia", "elng")
    assert (data[elng.body + 4 : elng.end - 1].decode() if elng else None) == extended


def test_the_bit_rates_are_those_that_were_measured(audio: Artifact, rungs: dict[str, tuple[Artifact, int]], tmp_path: Path) -> None:
    spoken = replace(read_init(audio.path, "a"), rates=RATES)
    boxes = entry_boxes(spoken)
    declared = bytes.fromhex("00012345") + (300_000).to_bytes(4, "big") + (200_000).to_bytes(4, "big")
    assert boxes["btrt"] == declared
    at, _ = codecs.descriptor(boxes["esds"][4:], codecs.DECODER_CONFIG)
    assert boxes["esds"][4 + at + 2 : 4 + at + 13] == declared[1:]
    joined = spoken.data + b"".join(segment.data for segment in audio_segments(audio, audio_rendition(), grid()))
    assert frames_of(joined, tmp_path) == frames_of(audio.path.read_bytes(), tmp_path)
    for name, (artifact, _) in rungs.items():
        assert entry_boxes(replace(read_init(artifact.path, name), rates=RATES))["btrt"] == declared


def test_a_box_is_put_in_once_and_sizes_follow(audio: Artifact) -> None:
    init = replace(read_init(audio.path, "a"), rates=RATES, language="pt-BR")
    data = init.data
    assert data == replace(init, moov=box_of(data, "moov")).data  # written again, nothing changes
    assert [child.type for child in children(data)] == ["ftyp", "moov"]


def box_of(data: bytes, kind: str) -> bytes:
    found: Box = next(child for child in children(data) if child.type == kind)
    return data[found.offset : found.end]


def test_brands(rungs: dict[str, tuple[Artifact, int]], audio: Artifact) -> None:
    brands = {name: read_init(artifact.path, name).brands for name, (artifact, _) in rungs.items()}
    untagged = dict.fromkeys(("half", "plain", "hevc"), ())  # a colour that is not declared is not guessed
    assert brands == {"avc": ("cfsd", "cfhd", "chdf"), "av1": ("av01",), **untagged}
    assert read_init(audio.path, "a").brands == ("caac",)
    assert box(read_init(rungs["avc"][0].path, "avc").data, "ftyp") == b"iso6\0\0\0\0iso6cmfcmp41cfsdcfhdchdf"


@pytest.mark.parametrize("before", [None, "de", "pt-BR"])
@pytest.mark.parametrize("after", [None, "de", "pt-BR", "zh-Hant"])
def test_another_language_is_all_that_changes_in_an_init_section(before: str | None, after: str | None, audio: Artifact) -> None:
    init = replace(read_init(audio.path, "a"), rates=RATES)
    assert respoken(replace(init, language=before).data, after) == replace(init, language=after).data


@pytest.mark.parametrize("data", [b"", b"no boxes", bytes(16)])
def test_what_is_no_init_section_gets_no_language(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"box|unpack"):
        respoken(data, "de")
