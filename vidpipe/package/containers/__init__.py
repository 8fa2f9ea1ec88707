"""The containers that write segments: one module each. What each of them writes is the same clear and protected, but for the protection.

    cmaf    fragmented MP4 of one audio or video track
    webvtt  the cues of one subtitle track

A new container is a new module with a class of this shape; ``pipeline/segmenter.py`` chooses one for each track.
"""

from __future__ import annotations

from typing import Protocol

from vidpipe.mp4.encryption import EncryptedSamples, TrackEncryption
from vidpipe.package.cut import Cut
from vidpipe.package.result import Segment, TrackFacts


class Container(Protocol):
    """Writes one track."""

    @property
    def entry(self) -> bytes | None:
        """The sample entry, which says what the samples are; None if the container has no samples."""

    @property
    def facts(self) -> TrackFacts | None:
        """What is known of the track; None if the container has no samples."""

    def header(self, encryption: TrackEncryption | None = None) -> bytes | None:
        """Return the init section; None if the container has none. encryption: what it has to say of encrypted samples."""

    def write(self, cut: Cut, encrypted: EncryptedSamples | None = None) -> Segment:
        """Return the segment of a cut. encrypted: its samples as a scheme has encrypted them, and what a player needs for each."""
