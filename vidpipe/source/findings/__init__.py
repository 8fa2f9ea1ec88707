"""Check a source: facts and measurements against the policy, as findings with stable ids. Pure.

In:   Source, Measurements (picture and audio together, or one Measurements an audio stream), QualityPolicy.
Out:  findings in the order of the policy; those that are "off" are left out.
Wrong: nothing.

Every finding says what was measured and what the limit is, and when, unless it is about the whole file. What a file has many of is
reported once for each stretch; the measured value is that of all of them.
"""

from vidpipe.source.findings.measured import audio_findings, findings, missing_pictures
from vidpipe.source.findings.probed import changing_audio, fact_findings

__all__ = ["IDS", "audio_findings", "changing_audio", "fact_findings", "findings", "missing_pictures"]

IDS = (
    *("truncated", "read-error", "corrupt-packets", "no-audio", "duration-mismatch", "start-mismatch", "early-audio"),
    *("discarded-audio", "audio-outside-picture", "undecodable-audio", "changing-audio", "captions-left-out"),
    *("duplicate-timestamps", "broken-timestamps", "clock-jump", "timestamp-gap", "stretched-time"),
    *("low-resolution", "low-bit-rate"),
    *("missing-pictures", "decode-errors", "black-video", "frozen-video", "interlaced-content"),
    *("silence", "loudness", "true-peak", "dead-channel"),
)
"""Every finding that there is. ids are stable: scripts and policies count on them."""
