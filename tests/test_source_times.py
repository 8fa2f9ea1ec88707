"""Times of a source are those that players show: seconds from the beginning of the file, which may begin before its first whole picture."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.source_support import AAC, X264, run
from vidpipe.cli import exits
from vidpipe.cli.app import invoke
from vidpipe.diagnostics import Diagnostic
from vidpipe.media.ffmpeg import find
from vidpipe.source.facts import Source
from vidpipe.source.policy import QualityPolicy, load_policy
from vidpipe.source.probe import probe
from vidpipe.source.validate import validate

PICTURE = "testsrc2=s=320x240:r=25:d=3[a];color=black:s=320x240:r=25:d=3[b];testsrc2=s=320x240:r=25:d=2[c];[a][b][c]concat=n=3"
GOP = ["-g", "50", "-keyint_min", "50", "-sc_threshold", "0"]


def recording(folder: Path, *, audio: bool) -> Path:
    """A transport stream that was recorded from the middle of a GOP on: 8 s of which 3 to 6 are black, less about a second."""
    whole, cut = folder / "whole.ts", folder / "cut.ts"
    inputs = ["-f", "lavfi", "-i", PICTURE, *(["-f", "lavfi", "-i", "sine=d=8"] if audio else [])]
    output = ["-output_ts_offset", "5000", "-mpegts_flags", "+resend_headers", "-f", "mpegts"]
    run([*inputs, *X264, *GOP, *(AAC if audio else []), *output], whole)
    data = whole.read_bytes()
    cut.write_bytes(data[len(data) // 188 // 9 * 188 :])
    return cut


def player_time(file: Path) -> float:
    """Return the time from which libavformat's players count."""
    with av.open(str(file)) as container:
        assert container.start_time is not None
        return container.start_time / av.time_base


def strict() -> QualityPolicy:
    policy = load_policy()
    return policy.model_copy(update={"black_video": policy.black_video.model_copy(update={"longest": 1})})


@pytest.mark.parametrize("audio", [True, False], ids=["audio", "no audio"])
def test_a_recording_that_begins_between_two_key_frames(audio: bool, tmp_path: Path) -> None:
    file = recording(tmp_path, audio=audio)
    source, begin = probe(str(file)), player_time(file)
    assert source.video.lead_in > Fraction(1, 2), "the file begins before its first whole picture"
    assert float(source.beginning) == pytest.approx(begin, abs=0.001)
    found = validate(source, strict(), find()).findings
    (black,) = [each for each in found if each.id == "black-video"]
    # It is black from 3 s to 6 s of the whole recording, which began at 5000 s and what the muxer adds.
    assert float(black.at.start or 0) == pytest.approx(player_time(tmp_path / "whole.ts") + 3 - begin, abs=0.1)
    assert float((black.at.end or 0) - (black.at.start or 0)) == pytest.approx(3, abs=0.1)
    assert all(each.at.start is None or each.at.start >= 0 for each in found), found
    if audio:
        early = [each for each in found if each.id in ("early-audio", "start-mismatch")]
        assert [(each.at.start, each.at.end) for each in early] == [(0, source.video.lead_in)]
        assert not any("-" in str(each.measured) for each in early)


def test_people_read_no_negative_time(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    file = recording(tmp_path, audio=True)
    monkeypatch.setenv("VIDPIPE_HOME", str(tmp_path / "home"))
    exits.run(invoke, ["validate", str(file)])
    said = capsys.readouterr().out
    assert not re.search(r"-\d+(:\d\d)+|-\d+\.\d+ s", said), said
    begin = player_time(file)
    assert f"begins at {begin:.3f} s" in said
    assert re.findall(r"\d{4}\.\d+ s", said) == [f"{begin:.3f} s"], "nothing else is told by the clock of the stream"
    assert "starts at 0 s" in said


def test_a_file_with_an_index_counts_from_its_own_zero(tmp_path: Path) -> None:
    late = tmp_path / "late.mkv"
    run(["-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=1", *X264, "-output_ts_offset", "2", "-f", "matroska"], late)
    source = probe(str(late))
    assert (source.beginning, source.video.lead_in) == (0, 2)


def test_what_was_measured_earlier_counts_as_it_did(tmp_path: Path) -> None:
    clip = Path(__file__).parent.parent / "fixtures" / "one-second.mp4"
    facts = probe(str(clip)).model_dump(mode="json")
    del facts["video"]["lead_in"]
    old = Source.model_validate(facts)
    assert old.in_file(Fraction(1), Fraction(2)).start == 1
    assert isinstance(validate(old, load_policy(), "no-such-ffmpeg", quick=True).findings[0], Diagnostic)


def test_an_encoders_delay_before_the_beginning_is_no_time(tmp_path: Path) -> None:
    delayed = tmp_path / "delayed.mkv"
    sources = ["-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=12", "-itsoffset", "-0.03", "-f", "lavfi", "-i", "anullsrc=d=12"]
    run([*sources, *X264, "-c:a", "pcm_s16le", "-avoid_negative_ts", "disabled", "-f", "matroska"], delayed)
    source = probe(str(delayed))
    assert source.audio[0].start == Fraction(-3, 100)
    assert (source.beginning, source.video.lead_in) == (0, source.video.start)
    (silence,) = [each for each in validate(source, load_policy(), find()).findings if each.id == "silence"]
    assert silence.at.start == 0
    assert "from 0:00:00.000 to" in silence.message
