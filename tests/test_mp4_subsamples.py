"""The parts of a sample add up, whatever it looks like; under cenc, what is protected is whole blocks that end where they ended."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidpipe.mp4.boxes import BoxError
from vidpipe.mp4.encryption import SampleEncryption, fragment_boxes
from vidpipe.mp4.subsamples import BLOCK, Part, finder_of, in_blocks, listed

PART = st.tuples(st.integers(0, 200_000), st.integers(0, 5_000))
PARTS = st.lists(PART, min_size=1, max_size=8).filter(lambda parts: any(map(sum, parts)))


def spans(parts: list[Part] | tuple[Part, ...]) -> set[tuple[int, int]]:
    """Return begin and end of what is protected."""
    ends = list(itertools.accumulate(clear + protected for clear, protected in parts))
    return {(end - protected, end) for end, (_, protected) in zip(ends, parts, strict=True) if protected}


@given(PARTS)
def test_whole_blocks_end_where_they_ended(parts: list[Part]) -> None:
    made = in_blocks(parts)
    assert sum(map(sum, made)) == sum(map(sum, parts))
    assert all(protected % BLOCK == 0 for _, protected in made)
    assert {end for _, end in spans(made)} == {end for begin, end in spans(parts) if end - begin >= BLOCK}
    assert spans(made) == {(begin + (end - begin) % BLOCK, end) for begin, end in spans(parts) if end - begin >= BLOCK}
    assert all(protected for _, protected in made[:-1]), "no part without protected bytes but the last"


@given(PARTS)
def test_what_senc_lists_adds_up_to_the_sample(parts: list[Part]) -> None:
    made = listed(in_blocks(parts))
    assert sum(map(sum, made)) == sum(map(sum, parts))
    assert all(clear <= 0xFFFF for clear, _ in made)
    assert spans(made) == spans(in_blocks(parts))
    entry = SampleEncryption(bytes(8), made).entry
    assert len(entry) == 8 + 2 + 6 * len(made) <= 255
    assert entry in fragment_boxes([SampleEncryption(bytes(8), made)], 0)


def test_more_parts_than_a_segment_can_list_are_refused() -> None:
    assert len(listed([(1, 16)] * 40)) == 40
    with pytest.raises(BoxError, match="41 parts"):
        listed([(1, 16)] * 41)


def test_an_empty_sample_has_no_entry_that_could_be_misread() -> None:
    """The flag of senc is that of all samples: each has a count then, and all behind one without would be read wrongly."""
    with pytest.raises(BoxError, match="a sample is empty"):
        fragment_boxes([SampleEncryption(b"", ((5, 16),)), SampleEncryption(b"", ()), SampleEncryption(b"", ((5, 16),))], 0)


def test_audio_is_protected_whole() -> None:
    assert all(finder_of(bytes.fromhex("00000024") + kind + bytes(28)) is None for kind in (b"mp4a", b"ac-3", b"ec-3"))
