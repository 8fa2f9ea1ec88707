"""Check a source: facts and measurements against the policy, as findings with stable ids. Pure.

In:   Source, Measurements (picture and audio together, or one Measurements an audio stream), QualityPolicy.
Out:  findings in the order of the policy; those that are "off" are left out.
Wrong: nothing.

Every finding says what was measured and what the limit is, and when, unless it is about the whole file: in the time of the file, from its
beginning on, as players show it. What a file has many of is reported once for each stretch; the measured value is that of all of them.
"""

from vidpipe.source.findings.measured import audio_findings, findings, missing_pictures
from vidpipe.source.findings.probed import changing_audio, fact_findings
from vidpipe.source.policy import QualityPolicy, id_of

__all__ = ["IDS", "audio_findings", "changing_audio", "fact_findings", "findings", "missing_pictures"]

IDS = tuple(id_of(key) for key in QualityPolicy.model_fields)
"""Every finding that there is: each has a check of its name in the policy. ids are stable: scripts count on them."""
