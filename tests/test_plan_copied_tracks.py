"""A track is copied only if its frames follow each other from the beginning of the picture to its end."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from tests.test_plan import audio, planned, source
from vidpipe.errors import UsageError
from vidpipe.plan import AudioCopy, Plan, copied
from vidpipe.source.facts import AudioFormat, AudioFormatChange

WHOLE: dict[str, Any] = {"profile": "LC", "packets_duration": Fraction(60)}
CHANGE = AudioFormatChange(
    at=Fraction(3),
    before=AudioFormat(sample_rate=48000, channels=2, layout="stereo"),
    after=AudioFormat(sample_rate=48000, channels=6, layout="5.1"),
)


def plan_of(channels: int = 2, **facts: Any) -> Plan:
    return planned(source(audio=(audio(1, channels, **WHOLE | facts),)))


def test_what_was_encoded_decides() -> None:
    made = plan_of(6, sample_rate=44100)
    track = copied(made, made.audio[0])
    assert (track.make, track.channels, track.sample_rate) == (AudioCopy(), 6, 44100)
    assert (track.id, track.name, track.stream, track.default) == ("und", "Main", made.audio[0].stream, True)
    written = track.model_dump(mode="json")
    assert (written["make"], written["input"], written["stream"], written["codec"]) == ("copy", 0, 1, "aac")


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        pytest.param({"codec": "ac3", "profile": None}, "it is ac3, not AAC-LC", id="another codec"),
        pytest.param({"profile": "HE-AAC"}, "it is aac HE-AAC, not AAC-LC", id="another profile"),
        pytest.param({"changes": (CHANGE,)}, "its channel layout or sample rate changes", id="changes"),
        pytest.param({"steps": (Fraction(1),)}, "its timestamps jump or have gaps", id="steps"),
        pytest.param({"packets_duration": Fraction(59)}, "its timestamps jump or have gaps", id="a gap that no clock shows"),
        pytest.param({"offset": Fraction(1, 100)}, "it begins 0.010 s after the video", id="late"),
        pytest.param({"offset": Fraction(-1, 2)}, "it begins 0.500 s before the video", id="early"),
        pytest.param({"duration": Fraction(59), "packets_duration": Fraction(59)}, "it ends 1.000 s before the video", id="short"),
    ],
)
def test_what_cannot_be_copied_is_refused_with_the_reason(facts: dict[str, Any], reason: str) -> None:
    made = plan_of(**facts)
    with pytest.raises(UsageError, match="audio stream 1 cannot be copied") as error:
        copied(made, made.audio[0])
    assert str(error.value.what).endswith(f"cannot be copied: {reason}")


def test_a_frame_may_be_missing_at_the_end() -> None:
    made = plan_of(duration=Fraction(5998, 100), packets_duration=Fraction(5998, 100))
    assert copied(made, made.audio[0]).make == AudioCopy()
