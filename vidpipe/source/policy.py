"""What a source is checked for: one class a check, named after the finding that it weighs. Defaults, units and meanings stand here.

In:   the path of a YAML file, or None for the built-in policy.
Out:  QualityPolicy.
Wrong: UsageError that names file, line and key of everything that is wrong: no such file, no YAML, an unknown or repeated key, a value of
       the wrong kind.

The key of a check in a policy is the id of its finding with "_" for "-": ``black_video`` weighs ``black-video``. The docstrings are what
``vidpipe policy show`` prints.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter
from pydantic.fields import FieldInfo

from vidpipe.data import Data
from vidpipe.strict_yaml import Table, read_file, read_table

PolicySeverity = Literal["error", "warning", "off"]
SEVERITIES: dict[PolicySeverity, str] = {
    "error": "the source is refused, nothing is published",
    "warning": "it is reported, and the work goes on",
    "off": "it is not reported",
}


def _limit(
    value: float, unit: str, meaning: str | None = None, *, ge: float | None = None, gt: float | None = None, le: float | None = None
) -> Any:
    least = f"above {gt}" if gt is not None else f"of {ge} or more" if le is None else f"from {ge}"
    extra: dict[str, Any] = {"unit": unit, "allowed": f"a number {least}{f' to {le}' if le is not None else ''} ({unit})"}
    return Field(default=value, description=meaning, json_schema_extra=extra, allow_inf_nan=False, ge=ge, gt=gt, le=le)


class Check(Data):
    """One check. severity: what a finding does.  All other fields are limits."""

    severity: PolicySeverity


class Truncated(Check):
    """The packets end earlier than the container claims: the file was cut, or is still being written."""

    severity: PolicySeverity = "error"
    tolerance: float = _limit(0.5, "seconds", "they may end so much earlier, on top of 1 % of the duration", ge=0)


class ReadError(Check):
    """Reading stopped with an error before the end of the file."""

    severity: PolicySeverity = "error"


class CorruptPackets(Check):
    """Packets that the container marks as damaged (transport errors, bad checksums, cut short)."""

    severity: PolicySeverity = "warning"
    most: float = _limit(0, "packets", "of one stream", ge=0)


class NoAudio(Check):
    """There is no audio stream at all."""

    severity: PolicySeverity = "warning"


class DurationMismatch(Check):
    """Audio ends before or after the picture."""

    severity: PolicySeverity = "warning"
    most: float = _limit(1.0, "seconds", ge=0)


class StartMismatch(Check):
    """Audio begins before or after the picture."""

    severity: PolicySeverity = "warning"
    most: float = _limit(1.0, "seconds", ge=0)


class EarlyAudio(Check):
    """Audio begins before the first picture that can be shown, by less than start_mismatch allows: that much of it is cut."""

    severity: PolicySeverity = "warning"


class DiscardedAudio(Check):
    """Little of the audio falls into the time of the picture, and what is left would be published as if that were all.

    Its time stamps do not fit its length, as in AVI with a wrong rate, or most of it comes after the end. (What comes before the picture
    is not counted.)
    """

    severity: PolicySeverity = "error"
    share: float = _limit(0.6, "of its length", "so much has to be kept", gt=0, le=1)


class AudioOutsidePicture(Check):
    """Audio is over before the first picture that can be shown, or begins after the last one. The title is made without it."""

    severity: PolicySeverity = "warning"


class UndecodableAudio(Check):
    """There is no decoder for an audio stream. Where another one is good, this is never more than a warning."""

    severity: PolicySeverity = "error"


class ChangingAudio(Check):
    """The audio format changes mid-stream, such as from stereo to surround. All of it is converted to the widest.

    Where the packets do not say so (LATM, DTS, audio in PCM or Opus), only a decode shows it: `validate` without --quick does.
    """

    severity: PolicySeverity = "warning"
    most: float = _limit(0, "changes", "of one stream", ge=0)


class CaptionsLeftOut(Check):
    """Closed captions cannot be kept.

    These are CEA-708 services for which there are no captions of CEA-608, which become WebVTT; and captions in AVI whose pictures are
    reordered.
    """

    severity: PolicySeverity = "warning"


class DuplicateTimestamps(Check):
    """Pictures have the same time."""

    severity: PolicySeverity = "warning"
    most: float = _limit(0, "pictures", ge=0)


class BrokenTimestamps(Check):
    """Pictures have no time, or decoding times go backwards."""

    severity: PolicySeverity = "warning"
    most: float = _limit(0, "pictures", ge=0)


class ClockJump(Check):
    """The clock of the file jumps. Its time line is made continuous."""

    severity: PolicySeverity = "warning"


class TimestampGap(Check):
    """One picture is shown very long."""

    severity: PolicySeverity = "warning"
    longest: float = _limit(1.0, "seconds", "from one picture to the next", gt=0)


class StretchedTime(Check):
    """The file is too small for the time that it claims to last.

    A jump in its times does that; without a limit, one damaged number would make hours of a picture that stands still. A lecture of
    slides without audio has 2000 bits a second or more.
    """

    severity: PolicySeverity = "error"
    lowest: float = _limit(1000, "bits a second", "of the whole file, for the time of the picture", ge=0)


class LowResolution(Check):
    """The picture is small. Both sides are looked at, so portrait video is treated as landscape is."""

    severity: PolicySeverity = "warning"
    lowest: float = _limit(240, "pixels", "of the shorter side, as shown", ge=0)


class LowBitRate(Check):
    """The video has very few bits for its size: it was already compressed hard."""

    severity: PolicySeverity = "warning"
    lowest: float = _limit(0.02, "bits a pixel", "of each picture", ge=0)


class MissingPictures(Check):
    """Fewer pictures can be decoded than the packets promise."""

    severity: PolicySeverity = "error"


class DecodeErrors(Check):
    """Pictures or audio cannot be decoded, or only patched up. What is within the limit is a warning."""

    severity: PolicySeverity = "error"
    most: float = _limit(1.0, "seconds", "in all", ge=0)


class BlackVideo(Check):
    """A stretch of the picture is black."""

    severity: PolicySeverity = "warning"
    longest: float = _limit(10, "seconds", gt=0)
    pixel_luma: float = _limit(0.10, "of full brightness", "up to this a pixel is black", ge=0, le=1)
    picture_share: float = _limit(0.98, "of the pixels", "if so many are black, the picture is", gt=0, le=1)


class FrozenVideo(Check):
    """A stretch of the picture does not move (black ones are not reported again)."""

    severity: PolicySeverity = "warning"
    longest: float = _limit(10, "seconds", gt=0)
    noise: float = _limit(0.001, "of full brightness", "mean difference of two pictures that is still no movement", ge=0, le=1)


class InterlacedContent(Check):
    """The picture is interlaced although the file says that it is progressive.

    A sample shows it before the encode, and then it is deinterlaced; what the sample misses is found while the pictures are decoded, too
    late to deinterlace them.
    """

    severity: PolicySeverity = "warning"
    share: float = _limit(0.8, "of the pictures", "of those with a verdict", gt=0, le=1)


class Silence(Check):
    """A stretch is silent on every channel."""

    severity: PolicySeverity = "warning"
    longest: float = _limit(10, "seconds", gt=0)
    noise: float = _limit(-60, "dBFS", "what is softer is silence", ge=-200, le=0)


class Loudness(Check):
    """The whole programme is too soft or too loud, by EBU R 128 (its target is -23 LUFS; streaming services want -14 to -27)."""

    severity: PolicySeverity = "warning"
    lowest: float = _limit(-33, "LUFS", ge=-70, le=5)
    highest: float = _limit(-9, "LUFS", ge=-70, le=5)


class TruePeak(Check):
    """The audio clips when it is played: its true peak, by EBU R 128, is above 0 dBTP."""

    severity: PolicySeverity = "warning"
    highest: float = _limit(0, "dBTP", ge=-100, le=30)


class DeadChannel(Check):
    """A channel is silent while another one is not (the LFE channel of surround sound is left alone)."""

    severity: PolicySeverity = "warning"
    peak: float = _limit(-70, "dBFS", "a channel that never gets louder is dead", ge=-200, le=0)


class QualityPolicy(Data):
    """All checks."""

    truncated: Truncated = Truncated()
    read_error: ReadError = ReadError()
    corrupt_packets: CorruptPackets = CorruptPackets()
    no_audio: NoAudio = NoAudio()
    duration_mismatch: DurationMismatch = DurationMismatch()
    start_mismatch: StartMismatch = StartMismatch()
    early_audio: EarlyAudio = EarlyAudio()
    discarded_audio: DiscardedAudio = DiscardedAudio()
    audio_outside_picture: AudioOutsidePicture = AudioOutsidePicture()
    undecodable_audio: UndecodableAudio = UndecodableAudio()
    changing_audio: ChangingAudio = ChangingAudio()
    captions_left_out: CaptionsLeftOut = CaptionsLeftOut()
    duplicate_timestamps: DuplicateTimestamps = DuplicateTimestamps()
    broken_timestamps: BrokenTimestamps = BrokenTimestamps()
    clock_jump: ClockJump = ClockJump()
    timestamp_gap: TimestampGap = TimestampGap()
    stretched_time: StretchedTime = StretchedTime()
    low_resolution: LowResolution = LowResolution()
    low_bit_rate: LowBitRate = LowBitRate()
    missing_pictures: MissingPictures = MissingPictures()
    decode_errors: DecodeErrors = DecodeErrors()
    black_video: BlackVideo = BlackVideo()
    frozen_video: FrozenVideo = FrozenVideo()
    interlaced_content: InterlacedContent = InterlacedContent()
    silence: Silence = Silence()
    loudness: Loudness = Loudness()
    true_peak: TruePeak = TruePeak()
    dead_channel: DeadChannel = DeadChannel()

    def check(self, id_: str) -> Check:
        """Return the check that weighs a finding."""
        found: Check = getattr(self, key_of(id_))
        return found


RENAMED = {
    "black": "black_video",
    "frozen": "frozen_video",
    "interlaced": "interlaced_content",
    "captions": "captions_left_out",
    "gaps": "timestamp_gap",
    "stretched": "stretched_time",
    "resolution": "low_resolution",
    "bit_rate": "low_bit_rate",
}
"""What checks were called before they had the names of their findings."""


def key_of(id_: str) -> str:
    """Return the key in a policy of the check that weighs a finding."""
    return id_.replace("-", "_")


def id_of(key: str) -> str:
    """Return the id of the finding that a check weighs."""
    return key.replace("_", "-")


def limits_of(kind: type[Check]) -> dict[str, FieldInfo]:
    """Return the limits of a check, by key."""
    return {key: field for key, field in kind.model_fields.items() if key != "severity"}


def unit_of(limit: FieldInfo) -> str:
    """Return the unit of a limit."""
    return _extra(limit, "unit")


def load_policy(path: str | Path | None = None) -> QualityPolicy:
    """Return the policy of a file; keys that it leaves out have the built-in values.  Raises UsageError."""
    if path is None:
        return QualityPolicy()
    table = read_table(read_file(Path(path), "policy"), str(path), "policy", tuple(QualityPolicy.model_fields), RENAMED)
    if table is None:
        return QualityPolicy()  # only comments: everything as it is built in
    given = {key: _read(table, key) for key in table}
    table.mistakes.check()
    return QualityPolicy.model_validate(given)


def _read(policy: Table, key: str) -> dict[str, Any]:
    """Return what a file says of a check: key -> value."""
    kind = type(getattr(QualityPolicy(), key))
    table, limits = policy.table(key, key, tuple(kind.model_fields)), limits_of(kind)
    # "off" is a boolean to old YAML; as text it is what it says
    read: dict[str, Any] = {"severity": table.choice("severity", tuple(SEVERITIES))} if "severity" in table else {}
    for name in table:
        if name in limits:
            adapter: TypeAdapter[float] = TypeAdapter(Annotated[(float, *limits[name].metadata)])
            read[name] = table.get(name, adapter.validate_python, _extra(limits[name], "allowed"))
    return read


def _extra(limit: FieldInfo, name: str) -> str:
    extra = limit.json_schema_extra
    return str(extra[name]) if isinstance(extra, dict) else ""
