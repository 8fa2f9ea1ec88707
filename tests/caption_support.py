"""Sources with closed captions, made byte by byte: no program here writes CEA-608 into a picture's packets.

    screen in words -> byte pairs with parity (CTA-608-E) -> one pair a frame and field -> cc_data -> beside each picture
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av

from tests.encode_support import clip, ffmpeg
from tests.teletext_support import PACKET, PMT, checked
from vidpipe.package.subtitles import clean_text

RCL, EDM, ENM, EOC, RU2, RU3, CR, RDC, TR = 0x20, 0x2C, 0x2E, 0x2F, 0x25, 0x26, 0x2D, 0x29, 0x2A
ROW_14, ROW_15, ITALICS, NOTE = (0x14, 0x50), (0x14, 0x70), (0x11, 0x2E), (0x11, 0x37)
Code = tuple[int, int]


def odd(byte: int) -> int:
    return byte if byte.bit_count() & 1 else byte | 0x80


def letters(text: str) -> list[Code]:
    """Return the pairs of basic characters; a note is a special one."""
    codes: list[Code] = []
    for part in re.split("(♪)", text):
        if part == "♪":
            codes += [NOTE, NOTE]
        else:
            codes += [(ord(part[at]), ord(part[at + 1]) if at + 1 < len(part) else 0) for at in range(0, len(part), 2)]
    return codes


def twice(*codes: Code) -> list[Code]:
    """Control codes are sent twice."""
    return [code for each in codes for code in (each, each)]


def command(code: int) -> list[Code]:
    return twice((0x14, code))


def lines(*texts: str, italics: bool = False) -> list[Code]:
    """Two lines at most, at the foot of the screen."""
    rows = (ROW_14, ROW_15)[-len(texts) :]
    style = twice(ITALICS) if italics else []
    return [code for row, text in zip(rows, texts, strict=True) for code in [*twice(row), *style, *letters(text)]]


@dataclass
class Line21:
    """What is sent in both fields. rate: of the frames.  pairs: (frame, second field) -> pair."""

    rate: Fraction
    pairs: dict[tuple[int, bool], bytes] = field(default_factory=dict)

    def send(self, at: float, codes: Iterable[Code], channel: str = "CC1", *, ends: bool = False) -> None:
        """Send codes from a time on, or so that the first of the last two is sent then."""
        second, other = channel in ("CC3", "CC4", "T3", "T4"), channel[-1] in "24"
        codes = list(codes)
        frame = round(at * self.rate) - (len(codes) - 2 if ends else 0)
        for number, (high, low) in enumerate(codes, frame):
            assert number >= 0, "there is time to send it"
            assert (number, second) not in self.pairs, "nothing else is sent then"
            if 0x10 <= high < 0x18:
                high += 8 if other else 0
                high += second and high in (0x14, 0x1C) and 0x20 <= low < 0x30
            self.pairs[number, second] = bytes([odd(high), odd(low)])

    def pop_on(self, start: float, end: float, *texts: str, channel: str = "CC1", italics: bool = False) -> None:
        """Show a caption from start to end."""
        self.send(start, [*command(RCL), *command(ENM), *lines(*texts, italics=italics), *command(EOC)], channel, ends=True)
        self.send(end, command(EDM), channel)

    def triples(self, frame: int) -> bytes:
        """Return the cc_data triples of a frame: field 1, field 2."""
        sent = [self.pairs.get((frame, second), b"\x80\x80") for second in (False, True)]
        return b"\xfc" + sent[0] + b"\xfd" + sent[1]


def cc_data(triples: bytes) -> bytes:
    return bytes([0x40 | len(triples) // 3, 0xFF]) + triples + b"\xff"


def sei(triples: bytes, codec: str) -> bytes:
    """Return an SEI NAL unit with ATSC user data, escaped."""
    payload = b"\xb5\x00\x31GA94\x03" + cc_data(triples)
    head = b"\x06" if codec == "h264" else b"\x4e\x01"
    body = bytes([4, len(payload)]) + payload + b"\x80"
    return head + re.sub(rb"\x00\x00(?=[\x00-\x03])", b"\0\0\3", body)


ENCODERS = {
    "h264": ["-bf", "2", "-c:v", "libx264", "-preset", "ultrafast"],
    "hevc": ["-bf", "2", "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error"],
    "mpeg2video": ["-bf", "2", "-c:v", "mpeg2video"],
    "av1": ["-c:v", "libsvtav1", "-preset", "12"],
}


def captioned(
    target: Path,
    sent: Line21 | dict[int, bytes],
    *,
    codec: str = "h264",
    kind: str = "a53",
    frames: int = 150,
    rate: str = "30",
) -> Path:
    """Write a clip with captions. sent: Line21, or triples by frame.  kind: of MPEG-2's user data ("a53", "scte20", "dvd")."""
    plain = clip(target.with_name(f"plain-{target.name}"), rate, frames, options=ENCODERS[codec])
    per_frame = 1 / Fraction(rate)
    with av.open(str(plain)) as source, av.open(str(target), "w") as out:
        video = source.streams.video[0]
        opaque = codec == "av1"  # no encoder has the name of its decoder
        stream = out.add_stream_from_template(video, opaque=opaque)
        prefixed = bool(video.codec_context.extradata and video.codec_context.extradata[0] == 1)
        first = min(packet.pts for packet in source.demux(video) if packet.pts is not None)
        source.seek(0)
        for packet in source.demux(video):
            if not packet.size:
                continue
            frame = round((packet.pts - first) * packet.time_base / per_frame)
            triples = sent.triples(frame) if isinstance(sent, Line21) else sent.get(frame, b"")
            data = beside(bytes(packet), triples, codec, kind, prefixed) if triples else bytes(packet)
            made = av.Packet(data)
            made.pts, made.dts, made.time_base, made.is_keyframe = packet.pts, packet.dts, packet.time_base, packet.is_keyframe
            made.stream = stream
            out.mux(made)
    return target


def beside(picture: bytes, triples: bytes, codec: str, kind: str, prefixed: bool) -> bytes:
    """Put the triples into a packet, before the first slice."""
    if codec == "mpeg2video":
        place = picture.index(b"\0\0\1\1")
        return picture[:place] + b"\0\0\1\xb2" + user_data(triples, kind) + picture[place:]
    if codec == "av1":  # after the sequence header, if there is one
        payload = b"\4\xb5\x00\x31GA94\x03" + cc_data(triples) + b"\x80"
        place = 2 + picture[1] if picture[0] >> 3 == 1 else 0
        return picture[:place] + bytes([0x2A, len(payload)]) + payload + picture[place:]
    unit = sei(triples, codec)
    if prefixed:
        return len(unit).to_bytes(4, "big") + unit + picture
    wanted = rb"\x00\x00\x01[\x01\x05\x21\x25\x41\x61\x65]" if codec == "h264" else rb"\x00\x00\x01[\x00-\x3f]\x01"
    found = re.search(wanted, picture)
    assert found
    return picture[: found.start()] + b"\0\0\1" + unit + picture[found.start() :]


def user_data(triples: bytes, kind: str) -> bytes:
    """Return MPEG-2 user data of a kind."""
    pairs = [triples[at : at + 3] for at in range(0, len(triples), 3)]
    if kind == "a53":
        return b"GA94\3" + cc_data(triples)
    if kind == "dvd":
        blocks = b"".join(bytes([0xFF - (flags & 1), one, two]) for flags, one, two in pairs)
        return b"CC\1\xf8" + bytes([0x80 | len(pairs) // 2 << 1]) + blocks
    bits = f"{len(pairs):05b}"
    for flags, one, two in pairs:  # priority, field, line, mirrored bytes, marker
        bits += f"00{1 + (flags & 1):02b}01011" + f"{one:08b}"[::-1] + f"{two:08b}"[::-1] + "1"
    bits += "0" * (-len(bits) % 8)
    return b"\3\x81" + bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))


def announced(path: Path, *entries: tuple[str, int]) -> Path:
    """Declare captions in the program map of a transport stream. entries: language; 0x80 + service, or the field of line 21."""
    body = bytes([0xE0 | len(entries)]) + b"".join(language.encode() + bytes([kind | 0x40, 0x3F, 0xFF]) for language, kind in entries)
    descriptor = bytes([0x86, len(body)]) + body
    data, out = path.read_bytes(), bytearray()
    for at in range(0, len(data), PACKET):
        packet = data[at : at + PACKET]
        out += described(packet, descriptor) if ((packet[1] & 31) << 8 | packet[2]) == PMT else packet
    path.write_bytes(out)
    return path


def described(packet: bytes, descriptor: bytes) -> bytes:
    """Add a descriptor to the first stream of a program map in one packet."""
    length, info = (packet[6] & 15) << 8 | packet[7], (packet[15] & 15) << 8 | packet[16]
    section, stream = bytearray(packet[5 : 5 + 3 + length - 4]), 12 + info
    size = (section[stream + 3] & 15) << 8 | section[stream + 4]
    section[stream + 5 : stream + 5] = descriptor
    section[stream + 4] = size + len(descriptor)
    section[2] = len(section) + 4 - 3
    return packet[:5] + (bytes(section) + checked(section)).ljust(PACKET - 5, b"\xff")


def by_ffmpeg(source: Path) -> list[tuple[float, float, str]]:
    """Return the cues that ffmpeg itself finds in a video, by decoding all of it: those of the first channel."""
    return read(ffmpeg("-copyts", "-f", "lavfi", "-i", f"movie={source}[out0+subcc]", "-map", "0:s", "-f", "webvtt", "-").decode())


def read(text: str, origin: int = 0) -> list[tuple[float, float, str]]:
    """Return (start, end, text) of the cues of a WebVTT file, the text as it will be published."""
    found = []
    for time, *words in [block.split("\n") for block in text.split("\n\n") if " --> " in block]:
        start, end = [round(_seconds(clock) - origin, 3) for clock in time.split(" --> ")]
        found.append((start, end, clean_text(words, codec="eia_608")))
    return found


def _seconds(clock: str) -> float:
    whole = 0.0
    for part in clock.split(":"):
        whole = 60 * whole + float(part)
    return whole
