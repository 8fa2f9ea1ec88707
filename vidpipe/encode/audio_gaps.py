"""Distinguish real gaps and drift from time stamps that merely jitter. Pure: gives the text of a filter expression.

In:   where the picture's time line begins, in the stream's own time; where the audio's clock steps, as its packets showed.
Out:  an expression for ``asetpts``: each frame of audio gets its place on the picture's time line.
Wrong: nothing here can fail.

Audio has a clock of its own: its samples. Time stamps are coarser and often wrong by a part of a frame: Matroska, FLV and ASF round
them to a millisecond, Ogg stamps pages, those of Vorbis are off wherever a short block meets a long one (up to 41 ms at 22 kHz with
blocks of 4096), and recorders stamp what arrives when it arrives. A gap filler that follows them chops audio that was whole. So a frame
follows the one before it, to the sample, unless

- its time stamp is off by more than GAP from where they were of late: something is missing (or is there twice), and the place is here;
- or it is the second one, and off by more than FIRST_GAP: fragmented MP4 without edit lists stamps the encoder's priming 0 and all that
  follows with the delay of the picture on top, 80 ms at 25 frames a second;
- or it comes at a known step of a clock that is even before and after it (``source/steps.py``): a splice, a lost packet;
- or they have been off by more than LARGEST_DRIFT on average: the clock runs too fast or slow, or too many small pieces were lost.

The expression is evaluated once a frame, inside the one decode there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from vidpipe.source.steps import LEAST_STEP

GAP = Fraction(6, 100)
"""Seconds. Beyond what audio clocks jitter; among time stamps that do, one lost packet (20 to 32 ms) is left to the drift."""

FIRST_GAP = Fraction(42, 1000)
"""Seconds. Just beyond what Vorbis is off: there is no habit yet to compare with, and the first time stamp is as good as the second."""

LARGEST_DRIFT = Fraction(4, 100)
"""Seconds that audio may be away from its time stamps on average: EBU R 37 allows it to be 40 ms early and 60 ms late."""

AVERAGED = Fraction(1)
"""Seconds over which (exponentially) that average is taken."""


BEFORE_STEP, AFTER_STEP = Fraction(5, 1000), Fraction(1, 4)
"""Seconds around a known step in which a frame that is off is put where its time stamp says: times are rounded, a frame may be damaged."""


def on_the_time_line(start: Fraction, steps: Sequence[Fraction] = ()) -> str:
    """Return the expression.

    start: seconds in the stream's own time of the first frame of the picture.  steps: seconds from there on at which the clock steps.
    """
    here = f"PTS-({start.numerator}/{start.denominator})/TB"
    # 0: the tick at which the samples began to be counted.  1: how far the time stamps are off, on average.
    # 2: ticks of the samples before this frame.  3: how far this frame's time stamp is off.  4: 1 after two frames.  5: its seconds.
    # N counts samples.
    return ";".join(
        [
            "st(2,round(NB_CONSUMED_SAMPLES/SR/TB))",
            f"if(eq(N,0),st(0,round({here})))",
            f"st(3,{here}-ld(0)-ld(2))",
            *_at_steps(here, steps),
            f"if(gt(abs(ld(3)-ld(1)),if(ld(4),{_ticks(GAP)},{_ticks(FIRST_GAP)})),"
            "st(0,round(ld(0)+ld(3)-ld(1))),"
            f"st(1,ld(1)+(ld(3)-ld(1))*min(1,NB_SAMPLES/SR/{float(AVERAGED):g})))",
            f"if(gt(abs(ld(1)),{_ticks(LARGEST_DRIFT)}),st(0,round(ld(0)+ld(1)))+st(1,0))",
            "st(4,gt(N,0))",
            "ld(0)+ld(2)",
        ]
    )


def _at_steps(here: str, steps: Sequence[Fraction]) -> list[str]:
    if not steps:
        return []
    near = "+".join(f"between(ld(5),{float(step - BEFORE_STEP):.6f},{float(step + AFTER_STEP):.6f})" for step in steps)
    return [f"st(5,({here})*TB)", f"if(({near})*gt(abs(ld(3)),{_ticks(LEAST_STEP)}),st(0,round(ld(0)+ld(3)))+st(1,0)+st(3,0))"]


def _ticks(seconds: Fraction) -> str:
    return f"{float(seconds):g}/TB"
