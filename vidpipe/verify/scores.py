"""Prove the SCOREs of a master playlist.

In:   the Readback, the master playlist.
Out:  nothing.
Wrong: VerificationFailed if a title of one codec has a SCORE, or one of several lacks some, or a larger picture has the lower one.
"""

from __future__ import annotations

from fractions import Fraction

from vidpipe.manifest.parse import MasterPlaylist
from vidpipe.verify.readback import Readback


def check_scores(target: Readback, path: str, master: MasterPlaylist) -> None:
    """Compare SCORE with the codecs and sizes of the variants. path: of the master playlist.

    Every variant has one or none has (HLS-MVP-013). Between codecs the order is a judgement; in one codec it is that of the sizes.
    """
    codecs: dict[str, list[tuple[Fraction | None, int]]] = {}
    for variant in master.variants:
        pixels = (variant.width or 0) * (variant.height or 0)
        codecs.setdefault(variant.codecs[0].partition(".")[0], []).append((variant.score, pixels))
    several = len(codecs) > 1
    target.same(path, "which variants have a SCORE", [several] * len(master.variants), [item.score is not None for item in master.variants])
    for scored in codecs.values() if several else ():
        target.same(path, "the sizes in the order of SCORE", sorted(size for _, size in scored), [size for _, size in sorted(scored)])
