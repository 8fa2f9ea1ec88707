"""An asset is its inputs, the main one first; a stream is named by the input and its index."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tests.test_plan import audio, source
from vidpipe.source.asset import Asset, StreamRef

FILM, DUB = source(audio=(audio(1),)), source(audio=(audio(1, 6), audio(3)))


def test_streams_are_found_in_their_input() -> None:
    asset = Asset(inputs=(FILM, DUB))
    assert asset.main == FILM
    assert asset.source(StreamRef(input=1, stream=3)) == DUB
    assert asset.audio(StreamRef(stream=1)) == FILM.audio[0]
    assert asset.audio(StreamRef(input=1, stream=1)) == DUB.audio[0]
    with pytest.raises(LookupError):
        asset.audio(StreamRef(stream=3))
    with pytest.raises(IndexError):
        asset.source(StreamRef(input=2, stream=0))


def test_streams_of_the_main_input_are_named_by_their_index_alone() -> None:
    assert [str(StreamRef(stream=2)), str(StreamRef(input=1, stream=2))] == ["2", "1:2"]


def test_an_asset_has_a_main_input() -> None:
    with pytest.raises(ValidationError):
        Asset(inputs=())
    assert Asset(inputs=(FILM, DUB)).with_main(DUB) == Asset(inputs=(DUB, DUB))
