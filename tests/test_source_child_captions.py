"""Closed captions in packets: found wherever they lie, each channel by itself, and shown when ffmpeg's own decoder shows them."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.caption_support import CR, EDM, RCL, RDC, RU2, TR, Line21, announced, by_ffmpeg, captioned, command, letters, lines, read, sei
from tests.encode_support import FIXTURES, ffmpeg
from vidpipe.encode.subtitles import TIME_OFFSET
from vidpipe.source.captions import CaptionRequest
from vidpipe.source.child.captions.caption_service import declared_languages
from vidpipe.source.child.captions.channels import Services, Triples, taken_apart
from vidpipe.source.child.captions.screens import cues, extracted
from vidpipe.source.child.captions.userdata import reader
from vidpipe.source.facts import Source
from vidpipe.source.findings import fact_findings
from vidpipe.source.policy import load_policy
from vidpipe.source.probe import probe

RATE = Fraction(30)


def film() -> Line21:
    """Two pop-on captions in the first channel and one in the third; they begin at frames between B-frames."""
    sent = Line21(RATE)
    sent.pop_on(1.5, 2.5, "Hello ♪", "[MUSIC]")
    sent.pop_on(3.5, 4.5, "in italics", italics=True)
    sent.pop_on(1.5, 3, "Hola", channel="CC3")
    return sent


def listed(source: Source) -> list[tuple[str | None, bool]]:
    return [(stream.channel, stream.text) for stream in source.subtitles]


def shown(source: Source, channel: str) -> list[tuple[float, float, str]]:
    """Return the cues of a channel, in the source's own time."""
    index = next(stream.index for stream in source.subtitles if stream.channel == channel)
    facts = {"location": source.location, "size": source.size, "mtime_ns": source.mtime_ns, "demuxer": source.demuxer}
    (text,) = extracted(CaptionRequest(**facts, channels=((index, channel),), origin=TIME_OFFSET))
    return read(text, TIME_OFFSET)


def on_title(cues_: list[tuple[float, float, str]], source: Source) -> list[tuple[float, float, str]]:
    """Return cues with times from the first picture on, in hundredths: transport streams count in other ticks."""
    zero = float(source.video.start)
    return [(round(start - zero, 2), round(end - zero, 2), text) for start, end, text in cues_]


@pytest.mark.parametrize(
    ("file", "codec", "kind"),
    [
        ("film.mp4", "h264", "a53"),  # length-prefixed
        ("film.mkv", "h264", "a53"),
        ("film.ts", "h264", "a53"),  # start codes; times begin at 1.4 s
        ("film.mp4", "hevc", "a53"),
        ("film.ts", "hevc", "a53"),
        ("film.mp4", "av1", "a53"),
        ("film.ts", "mpeg2video", "a53"),
        ("film.mpg", "mpeg2video", "a53"),
        ("film.mxf", "mpeg2video", "a53"),
        ("film.ts", "mpeg2video", "scte20"),
    ],
)
def test_they_are_found_wherever_a_codec_carries_them_and_shown_when_ffmpeg_shows_them(
    file: str, codec: str, kind: str, tmp_path: Path
) -> None:
    path = captioned(tmp_path / file, film(), codec=codec, kind=kind)
    source = probe(str(path))
    assert listed(source) == [("CC1", True), ("CC3", True)]
    first = shown(source, "CC1")
    assert on_title(first, source) == [(1.5, 2.5, "Hello ♪\n[MUSIC]"), (3.5, 4.5, "<i>in italics</i>")]
    assert on_title(shown(source, "CC3"), source) == [(1.5, 3.0, "Hola")]
    assert [text for _, _, text in by_ffmpeg(path)] == [text for _, _, text in first]
    assert [time for cue in by_ffmpeg(path) for time in cue[:2]] == pytest.approx([time for cue in first for time in cue[:2]], abs=0.001)


def test_captions_of_a_disc_lie_at_the_start_of_a_gop_for_all_its_frames(tmp_path: Path) -> None:
    sent = film()
    gops = {start: b"".join(sent.triples(frame) for frame in range(start, start + 19)) for start in range(0, 150, 19)}
    source = probe(str(captioned(tmp_path / "disc.mpg", gops, codec="mpeg2video", kind="dvd")))
    assert listed(source) == [("CC1", True), ("CC3", True)]
    found = on_title(shown(source, "CC1"), source)
    assert [text for _, _, text in found] == ["Hello ♪\n[MUSIC]", "<i>in italics</i>"]
    assert found[0][:2] == pytest.approx((1.5, 2.5), abs=0.05)


def test_roll_up_and_paint_on_begin_when_the_first_letter_is_painted(tmp_path: Path) -> None:
    sent = Line21(RATE)
    sent.send(0.5, [*command(RU2), *command(CR), *lines("first line")])
    sent.send(1.5, [*command(CR), *letters("and second")])
    sent.send(2.5, command(EDM))
    sent.send(3.5, [*command(RDC), *lines("painted")])  # ffmpeg would show it from 2.5 on
    sent.send(4.5, command(EDM))
    path = captioned(tmp_path / "live.mp4", sent)
    source = probe(str(path))
    found = shown(source, "CC1")
    assert [text for _, _, text in found] == ["first line", "first line\nand second", "painted"] == [text for _, _, text in by_ffmpeg(path)]
    starts, ends = [cue[0] for cue in found], [cue[1] for cue in found]
    assert starts == pytest.approx([0.5 + 6 / 30, 1.5 + 2 / 30, 3.5 + 4 / 30], abs=0.001)
    assert ends == pytest.approx([1.5 + 2 / 30, 2.5, 4.5], abs=0.001)


def test_channels_that_share_a_field_do_not_mix(tmp_path: Path) -> None:
    sent = Line21(RATE)
    sent.send(0.1, [*command(RCL), *lines("one")])
    sent.send(0.5, [*command(RCL), *lines("two")], "CC2")
    sent.send(0.9, [*command(TR), *letters("http://text")], "CC2")  # a text service
    sent.send(1.5, [*command(0x2F)], "CC1")
    sent.send(1.7, [*command(0x2F)], "CC2")
    sent.send(2.5, command(EDM), "CC1")
    sent.send(2.7, command(EDM), "CC2")
    sent.send(0.2, [(0x01, 0x03), *letters("Programme"), (0x0F, 0x1D)], "CC3")  # XDS: about the programme
    source = probe(str(captioned(tmp_path / "two.mp4", sent)))
    assert listed(source) == [("CC1", True), ("CC2", True), ("T2", False)]
    assert [text for _, _, text in shown(source, "CC1")] == ["one"]
    assert [text for _, _, text in shown(source, "CC2")] == ["two"]


def test_a_track_of_captions_in_quicktime(tmp_path: Path) -> None:
    script = tmp_path / "track.scc"
    words = "9420 9420 94ae 94ae 94f4 94f4 c8e5 ecec ef80 942f 942f"
    script.write_text(f"Scenarist_SCC V1.0\n\n00:00:00:15\t{words}\n\n00:00:01:15\t942c 942c\n\n")
    path = tmp_path / "track.mov"
    options = ["-c", "copy", "-metadata:s:s:0", "language=fra"]
    ffmpeg("-i", FIXTURES / "portrait-25.mp4", "-i", script, "-map", "0:v", "-map", "1", *options, path)
    source = probe(str(path))
    assert [(stream.channel, stream.language, stream.codec) for stream in source.subtitles] == [("CC1", "fr", "eia_608")]
    ((start, end, text),) = shown(source, "CC1")
    assert (start, text) == (0.495, "Hello")
    assert end > 1


def test_ancillary_data_of_mxf(tmp_path: Path) -> None:
    script = tmp_path / "track.scc"
    script.write_text("Scenarist_SCC V1.0\n\n00:00:00:15\t9420 9420 94f4 94f4 c8e5 ecec ef80 942f 942f\n\n00:00:01:15\t942c 942c\n\n")
    path = tmp_path / "film.mxf"
    options = ["-c:v", "mpeg2video", "-c:s", "copy", "-bsf:s", "eia608_to_smpte436m"]
    ffmpeg("-i", FIXTURES / "portrait-25.mp4", "-i", script, "-map", "0:v", "-map", "1", *options, path)
    source = probe(str(path))
    assert listed(source) == [("CC1", True)]
    assert [text for _, _, text in shown(source, "CC1")] == ["Hello"]


def test_pictures_without_times_that_are_reordered_would_give_nonsense(tmp_path: Path) -> None:
    path = tmp_path / "film.avi"
    ffmpeg("-i", captioned(tmp_path / "film.ts", film()), "-c", "copy", "-bsf:v", "h264_mp4toannexb", path)
    source = probe(str(path))
    assert listed(source) == [("CC1", False), ("CC3", False)]
    (finding,) = [each for each in fact_findings(source, load_policy()) if each.id == "captions-left-out"]
    assert "CC1, CC3 cannot be put in order" in finding.message
    digital = captioned(tmp_path / "mpeg2.ts", film(), codec="mpeg2video")  # whose order libav knows
    ffmpeg("-i", digital, "-c", "copy", tmp_path / "mpeg2.avi")
    source = probe(str(tmp_path / "mpeg2.avi"))
    assert [text for _, _, text in shown(source, "CC1")] == ["Hello ♪\n[MUSIC]", "<i>in italics</i>"]


def dtvcc(*blocks: tuple[int, bytes]) -> bytes:
    """Return the triples of one CEA-708 packet. blocks: (service, data)."""
    body = b"".join(bytes([service << 5 | len(data)]) + data for service, data in blocks)
    body += b"\0" * ((len(body) + 1) % 2)
    packet = bytes([(len(body) + 1) // 2]) + body
    return b"".join(bytes([0xFF if at == 0 else 0xFE]) + packet[at : at + 2] for at in range(0, len(packet), 2))


def test_cea_708_alone_is_reported_as_lost(tmp_path: Path) -> None:
    window = b"\x98\x3b\x41\x42\x01\x1f\x11"  # its parameters look like letters
    sent = {30: dtvcc((1, window), (2, window)), 45: dtvcc((1, b"Hi\x03"), (2, b"\x90AB"))}
    source = probe(str(captioned(tmp_path / "digital.mp4", sent)))
    assert [(stream.channel, stream.codec, stream.text) for stream in source.subtitles] == [("SERVICE1", "eia_708", False)]
    (finding,) = [each for each in fact_findings(source, load_policy()) if each.id == "captions-left-out"]
    assert "SERVICE1 of CEA-708" in finding.message


def test_services_with_the_words_of_a_channel_are_not_lost(tmp_path: Path) -> None:
    analog = film()
    sent = {frame: analog.triples(frame) + (dtvcc((1, b"Hello")) if frame == 45 else b"") for frame in range(150)}
    source = probe(str(captioned(tmp_path / "both.mp4", sent)))
    assert listed(source) == [("CC1", True), ("CC3", True), ("SERVICE1", False)]
    assert not [each for each in fact_findings(source, load_policy()) if each.id == "captions-left-out"]


def test_a_video_without_captions_has_none(tmp_path: Path) -> None:
    assert probe(str(captioned(tmp_path / "plain.mp4", {}, frames=30))).subtitles == ()
    silent = Line21(RATE)  # nothing but padding, as most encoders send
    assert probe(str(captioned(tmp_path / "padded.mp4", silent, frames=30))).subtitles == ()


def test_a_transport_stream_declares_their_languages(tmp_path: Path) -> None:
    sent = film()
    sent.send(0.1, [*command(RCL), *lines("hm"), *command(0x2F)], "CC2")
    path = captioned(tmp_path / "film.ts", sent)
    announced(path, ("eng", 0x81), ("spa", 0x82), ("fra", 0x01))  # of field 2, the analog entry knows better
    source = probe(str(path))
    assert [(stream.channel, stream.language) for stream in source.subtitles] == [("CC1", "en"), ("CC2", None), ("CC3", "fr")]


@given(st.binary(max_size=600), st.integers(0, 8191))
def test_no_program_map_is_too_odd(noise: bytes, video: int) -> None:
    padded = noise.ljust(752, b"\0")
    packets = b"".join(b"G" + padded[at : at + 187] for at in range(0, 748, 187))
    declared_languages(io.BytesIO(packets), video)
    association = b"G\x40\0\x10\0" + b"\0\xb0\x0d\0\1\xc1\0\0\0\1\xf0\0crc4".ljust(183, b"\xff")
    declared_languages(io.BytesIO(association + b"G\x50\0\x10\0" + noise.ljust(183, b"\0")[:183] + packets), video)


# Bytes


def gathered(sent: Line21, change: int = 0) -> Triples:
    triples = Triples()
    for (frame, second), pair in sorted(sent.pairs.items()):
        triples.add(frame, bytes([0xFC | second, *(byte ^ change for byte in pair)]))
    return triples


def test_without_any_parity_the_bytes_are_believed_as_players_do() -> None:
    right, _ = taken_apart(gathered(film()))
    assert taken_apart(gathered(film(), 0x80))[0] == right


def test_noise_of_an_old_tape_is_dropped() -> None:
    triples = gathered(film())
    triples.add(40, b"\xfcAB")  # both have even parity
    assert taken_apart(triples)[0] == taken_apart(gathered(film()))[0]


def test_two_notes_side_by_side_stay_two() -> None:
    sent = Line21(RATE)
    sent.pop_on(1, 2, "♪♪ la la ♪♪")
    assert [text for _, _, text in cues(taken_apart(gathered(sent))[0]["CC1"], 1 / RATE)] == ["♪♪ la la ♪♪"]


def test_the_last_caption_ends_if_nothing_erases_it() -> None:
    sent = Line21(RATE)
    sent.send(0, [*command(RCL), *lines("end"), *command(0x2F)])
    ((start, end, text),) = cues(taken_apart(gathered(sent))[0]["CC1"], 1 / RATE)
    assert (text, end - start) == ("end", 16)


@given(st.binary(max_size=300), st.sampled_from(["h264", "hevc", "vvc", "av1", "mpeg2video"]), st.booleans())
def test_no_bytes_are_too_odd(noise: bytes, codec: str, prefixed: bool) -> None:
    find = reader(codec, b"\x01" + b"\xff" * 30 if prefixed else b"")
    assert find
    marker = b"\0\0\1\xb2GA94\3" if codec == "mpeg2video" else b"\xb5\0\x31GA94\3"
    triples = Triples()
    for packet in (noise, marker + noise, len(marker + noise).to_bytes(4, "big") + b"\x06" + marker + noise):
        for triple, later in find(packet):
            assert len(triple) == 3
            triples.add(later, triple)
    pairs, _ = taken_apart(triples)
    for channel in pairs.values():
        list(cues(channel, Fraction(1)))


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255)), max_size=200))
def test_no_packet_of_cea_708_is_too_odd(triples: list[tuple[int, int, int]]) -> None:
    services = Services()
    for number, triple in enumerate(triples):
        services.hear(number, bytes(triple))
    services.end()
    assert all(name.startswith("SERVICE") for name in services.shown)


def test_two_fields_in_one_packet_each_have_their_own() -> None:
    find = reader("h264", b"")
    assert find
    units = [b"\0\0\1" + sei(bytes([0xFC | second, 0x94, 0x2C]), "h264") + b"\0\0\1\x01" + b"\x55" * 100 for second in (0, 1)]
    assert [triple for triple, _ in find(b"".join(units))] == [b"\xfc\x94\x2c", b"\xfd\x94\x2c"]
