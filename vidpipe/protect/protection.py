"""What protects one version: a scheme and its keys. Everything that is cut passes through here on its way to the target.

In:   Cuts and the container of their track.
Out:  ProtectedSegments, and the init section to publish.
Wrong: nothing but a bug of the caller (ValueError): a track without the key that its scheme needs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from vidpipe.mp4.encryption import TrackEncryption
from vidpipe.package.containers import Container
from vidpipe.package.cut import Cut
from vidpipe.package.result import TrackFacts
from vidpipe.protect.drm_systems import boxes_for
from vidpipe.protect.key_source import NO_KEYS, KeySet
from vidpipe.protect.result import ProtectedSegment
from vidpipe.protect.schemes import Scheme, scheme_of


@dataclass(frozen=True, slots=True)
class Protection:
    """A scheme, and the keys of a version."""

    scheme: Scheme
    keys: KeySet = NO_KEYS

    def header(self, track: TrackFacts, container: Container, first: int = 0) -> bytes | None:
        """Return the init section of a track, or None if its container has none. first: the segment from which on it is played with."""
        return container.header(self.declared(track, first))

    def declared(self, track: TrackFacts, index: int = 0) -> TrackEncryption | None:
        """Return what is said of the encrypted samples of a segment; of the first, by the init section, too. None if nothing is."""
        key = self.keys.of(track.id, index)
        encryption = self.scheme.header(track, key)
        if encryption is None or key is None:
            return encryption
        return replace(encryption, systems=(*encryption.systems, *boxes_for(self.keys.signals, key.key_id)))

    def seal(self, cut: Cut, container: Container) -> ProtectedSegment:
        """Return a cut as it will lie at the target: its samples encrypted or not, written, and encrypted whole or not.

        Under a later key than that of the init section, a segment of encrypted samples names its own.
        """
        scheme, key, entry = self.scheme, self.keys.of(cut.track, cut.index), container.entry
        if entry is None:
            scheme = scheme_of(scheme.text_scheme)
            return scheme.seal(container.write(cut), key)
        samples = scheme.samples(cut, key, entry)
        if samples is not None and container.facts is not None and key != self.keys.of(cut.track):
            samples = replace(samples, override=self.declared(container.facts, cut.index))
        return scheme.seal(container.write(cut, samples), key, samples)
