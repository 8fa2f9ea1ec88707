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

    def header(self, track: TrackFacts, container: Container) -> bytes | None:
        """Return the init section of a track, or None if its container has none."""
        return container.header(self.declared(track))

    def declared(self, track: TrackFacts) -> TrackEncryption | None:
        """Return what the init section of a track says of its encrypted samples; None if it says nothing."""
        key = self.keys.of(track.id)
        encryption = self.scheme.header(track, key)
        if encryption is None or key is None:
            return encryption
        return replace(encryption, systems=(*encryption.systems, *boxes_for(self.keys.signals, key.key_id)))

    def seal(self, cut: Cut, container: Container) -> ProtectedSegment:
        """Return a cut as it will lie at the target: its samples encrypted or not, written, and encrypted whole or not."""
        scheme, key, entry = self.scheme, self.keys.of(cut.track, cut.index), container.entry
        if entry is None:
            scheme = scheme_of(scheme.text_scheme)
            return scheme.seal(container.write(cut), key)
        samples = scheme.samples(cut, key, entry)
        return scheme.seal(container.write(cut, samples), key, samples)
