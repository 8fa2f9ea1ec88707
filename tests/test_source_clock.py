"""Jumps of a source's clock are found in its packets, and what is added makes them continuous: pure, from made-up packets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import pytest

from vidpipe.source.clock import Clocks, bitstream_filter, moved
from vidpipe.source.facts import Shift

BASE = Fraction(1, 90_000)
SECOND = 90_000


@dataclass
class Packet:
    """A packet as PyAV gives it."""

    stream_index: int
    pts: int | None
    pos: int | None
    duration: int = 3600
    is_keyframe: bool = True
    size: int = 100
    time_base: Fraction = BASE

    def __post_init__(self) -> None:
        self.dts = self.pts


def film(*parts: tuple[float, float], seconds: int = 4) -> Iterator[Packet]:
    """Packets of picture (0) and audio (1), 25 of each a second, in parts: at what time picture and audio of each begin."""
    position = 0
    for picture, audio in parts:
        for number in range(25 * seconds):
            for index, start in enumerate((picture, audio)):
                position += 100
                yield Packet(index, round(start * SECOND) + number * 3600, position)


def found(packets: list[Packet], *, jumps: bool = True) -> dict[int, tuple[Shift, ...]]:
    clocks = Clocks(0, jumps)
    for packet in packets:
        clocks.add(packet.stream_index, "video" if packet.stream_index == 0 else "audio", BASE, packet)
    return clocks.shifts()


def times(packets: list[Packet], index: int, *, jumps: bool = True) -> list[float]:
    """Where the packets of a stream then are, seconds."""
    shifts = found(packets, jumps=jumps)
    return [float((packet.pts or 0) * BASE) for packet in moved(packets, shifts) if packet.stream_index == index]


# name: picture and audio of each part of four seconds; where the audio of the second then begins after the picture
JOINS: dict[str, tuple[list[tuple[float, float]], float]] = {
    "starts again": ([(1, 1), (1, 1)], 0),
    "leaps ahead": ([(1, 1), (99, 99)], 0),
    "goes back": ([(500, 500), (400, 400)], 0),
    "goes back a little": ([(1, 1), (4.5, 4.5)], 0),
    "audio is late in the second": ([(1, 1), (1, 1.3)], 0.3),
    "audio leaps alone": ([(1, 1), (5, 99)], 0),
    "audio goes back alone": ([(50, 50), (54, 47)], 0),
    "the picture leaps alone": ([(1, 1), (99, 5)], 0),
    "just over the limit and just under it": ([(1, 1), (15.01, 14.99)], -0.02),
    "three": ([(1, 1), (1, 1), (70000, 70000)], 0),
    "comes back": ([(1, 1), (300, 300), (9, 9)], 0),
}


@pytest.mark.parametrize("kind", JOINS)
def test_parts_follow_each_other(kind: str) -> None:
    parts, offset = JOINS[kind]
    picture, audio = times(list(film(*parts)), 0), times(list(film(*parts)), 1)
    assert picture == pytest.approx([parts[0][0] + number / 25 for number in range(100 * len(parts))])
    for number in range(1, len(parts)):
        assert audio[100 * number] - picture[100 * number] == pytest.approx(offset if number == 1 else 0, abs=1e-4)


def test_a_gap_that_both_know_of_is_no_jump() -> None:
    assert found(list(film((1, 1), (8, 8)))) == {}
    assert found(list(film((1, 1), (50, 50))), jumps=False) == {}, "in a container with an index a gap is meant"
    assert found(list(film((1, 1), (1, 1))), jumps=False) != {}, "but time never goes back"


def test_audio_that_is_lost_for_a_while_stays_in_place() -> None:
    packets = [packet for packet in film((1, 1), seconds=60) if packet.stream_index == 0 or not 10 < (packet.pts or 0) / SECOND < 40]
    assert found(packets) == {}


@pytest.mark.parametrize("off", [5, 100, -5, -100])
def test_a_few_packets_with_wrong_times_move_nothing_else(off: int) -> None:
    packets = list(film((200, 200), seconds=10))
    for packet in packets[200:206:2]:
        packet.pts = packet.dts = (packet.pts or 0) + off * SECOND
    assert times(packets, 0) == pytest.approx([200 + number / 25 for number in range(250)])
    assert found(packets).get(1) is None


def test_packets_without_a_position_go_with_the_one_before() -> None:
    packets = list(film((1, 1), (1, 1)))
    for packet in packets:
        if (packet.pos or 0) % 1000:
            packet.pos = packet.pos if packet.pts == SECOND else None
    assert times(packets, 0) == pytest.approx([1 + number / 25 for number in range(200)])


def test_subtitles_go_with_the_picture_of_their_time() -> None:
    packets = list(film((1, 1), (1, 1)))
    clocks = Clocks(0, jumps=True)
    for number, packet in enumerate(packets):
        clocks.add(packet.stream_index, "video" if packet.stream_index == 0 else "audio", BASE, packet)
        if number in (100, 300):
            clocks.add(2, "subtitle", BASE, Packet(2, packet.pts, (packet.pos or 0) + 50))
    assert clocks.shifts()[2] == (Shift(position=(packets[300].pos or 0) + 50, seconds=Fraction(4)),)


def test_the_filter_says_the_same() -> None:
    shifts = (Shift(position=100, seconds=Fraction(-94)), Shift(position=250, seconds=Fraction(1, 3)))
    moving = "(gte(ld(0),100)*(-94/1)+gte(ld(0),250)*(283/3))/TB"
    parts = [f"0*st(0,max(ld(0),POS))+if(eq({time},NOPTS),NOPTS,{time}+round({moving}))" for time in ("PTS", "DTS")]
    assert bitstream_filter(shifts) == f"setts=pts='{parts[0]}':dts='{parts[1]}'"
