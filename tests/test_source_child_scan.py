"""The truth about a time line, from made-up packets; and what a display matrix says."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest

from vidpipe.source.child.scan import MOST_STRETCHES, Decoded, Packets, Timeline, stretches, thinned, timeline
from vidpipe.source.child.structure import claimed_size
from vidpipe.source.facts import Stretch
from vidpipe.source.picture_facts import orientation

MS, TS = Fraction(1, 1000), Fraction(1, 90000)
MOST = Fraction(240)


def packets(
    times: list[int | None], *, keys: int = 12, length: int = 0, hidden: frozenset[int] = frozenset(), first_key: int = 0
) -> Packets:
    made = Packets()
    for number, time in enumerate(times):
        key = number >= first_key and (number - first_key) % keys == 0
        made.add(time, time, length, key=key, hidden=number in hidden)
    return made


def measured(
    times: list[int | None], base: Fraction, declared: str | None = None, decoded: list[Decoded] | None = None, **how: Any
) -> Timeline:
    return timeline(packets(times, **how), decoded or [], [Fraction(declared)] if declared else [], base, MOST)


def grid(rate: str, count: int, base: Fraction, start: int = 0) -> list[int | None]:
    """Times of a constant rate, rounded to ticks as a muxer does."""
    return [start + round(number / Fraction(rate) / base) for number in range(count)]


RATES = [
    ("24000/1001", MS, 48), ("24000/1001", MS, 2000), ("24", MS, 48), ("24", TS, 48), ("25", MS, 10), ("30000/1001", MS, 300),
    ("30000/1001", TS, 30), ("30", MS, 300), ("60000/1001", MS, 600), ("60", MS, 600), ("12.5", MS, 25), ("50", TS, 50), ("120", MS, 240),
    ("15", MS, 15),
]  # fmt: skip


@pytest.mark.parametrize(("rate", "base", "count"), RATES)
def test_a_constant_rate_is_found_under_rounded_times(rate: str, base: Fraction, count: int) -> None:
    line = measured(grid(rate, count, base), base, rate)
    assert (line.frame_rate, line.variable, line.frames) == (Fraction(rate), False, count)
    assert line.duration == count / Fraction(rate)


def test_a_long_scan_needs_no_declared_rate() -> None:
    assert measured(grid("30000/1001", 2000, MS), MS, None).frame_rate == Fraction(30000, 1001)
    assert measured(grid("30", 2000, MS), MS, None).frame_rate == 30


@pytest.mark.parametrize("claim", ["1000", "90000", "1/5", "50"])
def test_measured_wins_over_a_wrong_claim(claim: str) -> None:
    assert measured(grid("25", 100, MS), MS, claim).frame_rate == 25


def test_an_odd_rate_is_kept_with_a_sane_denominator() -> None:
    rate = measured(grid("27", 500, TS), TS, None).frame_rate
    assert abs(rate - 27) < Fraction(1, 100)
    assert rate.denominator <= 1001


def test_a_rate_beyond_belief_is_limited() -> None:
    assert measured(grid("1000", 500, TS), TS, "1000").frame_rate == MOST


def test_variable_rates() -> None:
    dropped = [time for number, time in enumerate(grid("30", 120, TS)) if number < 60 or number % 3 == 0]
    line = measured(dropped, TS, "30")
    assert (line.variable, line.frame_rate, line.frames) == (True, Fraction(30), 80)
    assert line.longest_gap == Fraction(1, 10)
    recording = [0, 5000, *range(9000, 9100, 4), 15000, *range(16000, 16100, 4)]  # a screen: still, then bursts of 250 pictures a second
    assert measured(list(recording), MS, "1000").frame_rate == 60


def test_one_lost_frame_does_not_make_it_variable() -> None:
    times = grid("25", 100, TS)
    del times[50]
    line = measured(times, TS, "25")
    assert (line.variable, line.frame_rate, line.duration, line.frames) == (False, Fraction(25), Fraction(4), 99)


def test_leading_pictures_and_what_precedes_the_first_key_frame_do_not_count() -> None:
    times = grid("25", 50, TS, start=9000)
    order = [*times[:5], times[7], times[5], times[6], *times[8:]]  # the key frame comes first, two leading pictures after it
    line = measured(order, TS, "25", first_key=5)
    assert line.start_pts == times[7]
    assert line.frames == 43
    assert line.key_pts[0] == line.start_pts


def test_an_edit_list_hides_pictures() -> None:
    line = measured(grid("25", 50, TS, start=-3600 * 10), TS, "25", keys=50, hidden=frozenset(range(10)))
    assert (line.start_pts, line.frames, line.duration) == (0, 40, Fraction(8, 5))


def test_two_fields_with_times_of_their_own_are_one_frame() -> None:
    decoded = [Decoded(3600 * number, 3600 * number, True) for number in range(6)]
    line = measured(grid("50", 100, TS), TS, "25", decoded)
    assert (line.frame_rate, line.frames, line.duration) == (25, 50, 2)


def test_second_fields_without_a_time_are_not_missing() -> None:
    times: list[int | None] = []
    for time in grid("25", 50, TS):
        times += [time, None]
    line = measured(times, TS, "25", [Decoded(0, 0, True)])
    assert (line.frame_rate, line.frames, line.missing) == (25, 50, 0)


def test_no_presentation_times() -> None:
    made = Packets()
    for number in range(50):
        made.add(None, number, 1, key=number % 12 == 0, hidden=False)
    line = timeline(made, [Decoded(None, 2, False), Decoded(None, 3, False)], [Fraction(25)], Fraction(1, 25), MOST)
    assert line.guessed
    assert (line.start_pts, line.late, line.frames, line.duration) == (2, 2, 50, 2)
    assert line.key_pts == (2, 14, 26, 38, 50)


def test_duplicates_gaps_and_steps_back_are_counted() -> None:
    times = grid("25", 30, TS)
    line = measured([*times, times[10], times[20]], TS, "25")
    assert (line.duplicates, line.backward, line.frames) == (2, 1, 30)
    assert spans(line.duplicate_at) == [(0.4, 0.8)]
    assert spans(line.broken_at) == [(0.4, 0.4)]


def spans(stretches: tuple[Stretch, ...]) -> list[tuple[float, float]]:
    return [(float(each.start), float(each.end)) for each in stretches]


def test_where_times_are_wrong_is_counted_from_the_first_picture() -> None:
    times = grid("25", 500, TS, start=9000)
    doubled = [*times[:50], times[49], *times[50:300], times[299], *times[300:]]
    line = measured(doubled, TS, "25")
    assert (line.duplicates, spans(line.duplicate_at)) == (2, [(1.96, 1.96), (11.96, 11.96)])
    assert (line.backward, line.broken_at) == (2, line.duplicate_at)  # here pictures are decoded in the order in which they are shown
    made = Packets()
    for number, time in enumerate(times):  # every tenth after 10 s has no time; its neighbour before it says about when it is
        made.add(None if number > 250 and number % 10 == 0 else time, None, 0, key=number % 12 == 0, hidden=False)
    line = timeline(made, [], [Fraction(25)], TS, MOST)
    assert (line.missing, spans(line.broken_at)) == (24, [(10.36, 19.56)])


def test_stretches_are_bounded() -> None:
    assert len(stretches(range(0, 10**6, 2000), MS, Fraction(0))) == MOST_STRETCHES
    assert spans(stretches([5000, 0, 900, 1900, 7000], MS, Fraction(1))) == [(-1, 0.9), (4, 4), (6, 6)]
    assert stretches([], MS, Fraction(0)) == ()


@pytest.mark.parametrize("declared", ["24", None, "1000"])
def test_a_single_picture(declared: str | None) -> None:
    line = measured([500], MS, declared)
    assert (line.frames, line.start_pts) == (1, 500)
    assert line.duration == (Fraction(1, 24) if declared == "24" else Fraction(1, 25))


@pytest.mark.parametrize("times", [[], [None], [None, None]])
def test_nothing(times: list[int | None]) -> None:
    assert measured(times, MS).frames == 0


def test_gops_and_thinned_keys() -> None:
    line = measured(grid("25", 60, TS), TS, "25", keys=25)
    assert (line.shortest_gop, line.longest_gop, line.mean_gop) == (Fraction(2, 5), 1, Fraction(4, 5))
    assert thinned(tuple(range(0, 90000, 3600)), TS) == (0, 46800)


def frame(*numbers: int) -> Any:
    data = struct.pack("=9i", *[number << 16 for number in numbers])

    class Side(bytes):
        type = SimpleNamespace(name="DISPLAYMATRIX")

    return SimpleNamespace(side_data=[Side(data)])


MATRICES = {
    "upright": ((1, 0, 0, 0, 1, 0, 0, 0, 1), (0, False)),
    "clockwise": ((0, 1, 0, -1, 0, 0, 0, 0, 1), (90, False)),
    "upside down": ((-1, 0, 0, 0, -1, 0, 0, 0, 1), (180, False)),
    "counter-clockwise": ((0, -1, 0, 1, 0, 0, 0, 0, 1), (270, False)),
    "mirrored": ((-1, 0, 0, 0, 1, 0, 0, 0, 1), (0, True)),
    "flipped": ((1, 0, 0, 0, -1, 0, 0, 0, 1), (180, True)),
    "nothing": ((0,) * 9, (0, False)),
}


@pytest.mark.parametrize("kind", MATRICES)
def test_display_matrices(kind: str) -> None:
    numbers, expected = MATRICES[kind]
    assert orientation(frame(*numbers)) == expected


def box(kind: bytes, size: int) -> bytes:
    return size.to_bytes(4, "big") + kind + bytes(max(0, size - 8))


SIZES = {
    "whole mp4": (box(b"ftyp", 16) + box(b"mdat", 100), "mov", 116),
    "cut mp4": (box(b"ftyp", 16) + box(b"mdat", 100)[:50], "mov", 116),
    "64-bit box": (box(b"ftyp", 16) + b"\0\0\0\1mdat" + (5000).to_bytes(8, "big"), "mov", 5016),
    "mdat to the end": (box(b"ftyp", 16) + b"\0\0\0\0mdat" + bytes(50), "mov", None),
    "appended bytes": (box(b"ftyp", 16) + b"\0\0\x10\0abcd", "mov", None),
    "cut avi": (b"RIFF" + (5000).to_bytes(4, "little") + b"AVI " + bytes(100), "avi", 5008),
    "avi never finished": (b"RIFF\0\0\0\0AVI ", "avi", None),
    "live matroska": (b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff", "matroska", None),
    "cut matroska": (b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x50\x00", "matroska", 11 + 0x1000),
    "nonsense": (b"\xff" * 50, "matroska", None),
    "other": (bytes(50), "mpegts", None),
}


@pytest.mark.parametrize("kind", SIZES)
def test_the_size_that_a_container_claims(kind: str) -> None:
    data, demuxer, expected = SIZES[kind]
    assert claimed_size(io.BytesIO(data), demuxer) == expected
