"""What protects one version: a scheme and its keys. Everything that is cut passes through here on its way to the target.

In:   Cuts and the container of their track.
Out:  ProtectedSegments, and the init section to publish.
Wrong: nothing but a bug of the caller (ValueError): a track without the key that its scheme needs.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace

from vidpipe.package.containers import Container
from vidpipe.package.cut import Cut
from vidpipe.package.result import TrackFacts
from vidpipe.protect.key_source import NO_KEYS, KeySet
from vidpipe.protect.result import ProtectedSegment
from vidpipe.protect.schemes import Scheme


@dataclass(frozen=True, slots=True)
class Protection:
    """A scheme, and the keys of a version."""

    scheme: Scheme
    keys: KeySet = NO_KEYS

    def header(self, track: TrackFacts, container: Container) -> bytes | None:
        """Return the init section of a track, or None if its container has none."""
        key = self.keys.of(track.id)
        encryption = self.scheme.header(track, key)
        if encryption is not None and key is not None:
            boxes = tuple(base64.b64decode(each.pssh) for each in self.keys.signals if each.pssh and each.key_id == key.key_id)
            encryption = replace(encryption, systems=(*encryption.systems, *boxes))
        return container.header(encryption)

    def seal(self, cut: Cut, container: Container) -> ProtectedSegment:
        """Return a cut as it will lie at the target: its samples encrypted or not, written, and encrypted whole or not."""
        key = self.keys.of(cut.track, cut.index)
        return self.scheme.seal(container.write(cut, self.scheme.samples(cut, key)), key)
