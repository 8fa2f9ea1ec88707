"""Encrypt what is published under other keys: each segment is read, decrypted, and protected as the ingest had it. Nothing is encoded.

In:   the inventory of a version and the storage where it lies; its keys; the protection of the new version, and its prefix.
Out:  Resealed: segments and init sections at their new place; which objects are the same in both versions.
Wrong: VerificationFailed for an object that is lost, or is not the one that was published; PublishFailed, Interrupted.

Under which key a segment lies, the inventory says of that segment alone. A scheme that encrypts segments whole does not look into them. One
that encrypts samples has them taken apart, their protected bytes found anew, and written again, so that the bytes are those that an ingest
under the new keys would have published. Few segments are in memory: as many as there are workers on their way in, and on their way out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vidpipe.errors import VerificationFailed
from vidpipe.inventory import Inventory
from vidpipe.inventory.measure import measure
from vidpipe.inventory.model import MediaTrack, PublishedTrack, VideoTrack
from vidpipe.mp4.boxes import BoxError
from vidpipe.package.containers.cmaf import PublishedCmaf
from vidpipe.package.result import Segment
from vidpipe.progress import Reporter
from vidpipe.protect.key_store import ContentKey
from vidpipe.protect.protection import Protection
from vidpipe.protect.result import ProtectedSegment
from vidpipe.protect.schemes import CLEAR, SAMPLE_SCHEMES, scheme_of
from vidpipe.publish.parallel import in_parallel
from vidpipe.publish.result import PublishedObject, PublishedSegment
from vidpipe.publish.upload import publish_object, publish_segments
from vidpipe.storage.base import Damaged, Storage, get_if_there


@dataclass(frozen=True, slots=True)
class Resealed:
    """What lies at the new place. segments: those of encrypted tracks, by track and index.  inits: init sections that name keys."""

    segments: dict[tuple[str, int], PublishedSegment]
    inits: tuple[PublishedObject, ...]

    def track(self, track: PublishedTrack, longest: int) -> PublishedTrack:
        """Return a track as it is in the new version. longest: the target duration of the title, which stays as it is.

        Segments that name their key also hold what DRM systems want to be said of it, which may be longer than it was.
        """
        segments = tuple(self.segments.get((track.id, segment.index), segment) for segment in track.segments)
        changes: dict[str, object] = {"segments": segments, "bitrate": measure(segments, longest)}
        if isinstance(track, VideoTrack) and track.i_frames:
            changes["i_frames"] = track.i_frames.model_copy(update={"bitrate": measure(segments, longest, i_frames=True)})
        return track.model_copy(update=changes)


@dataclass(frozen=True, slots=True)
class Resealer:
    """Encrypts one version under other keys. old: its prefix.  key_for: opens its keys."""

    known: Inventory
    storage: Storage
    old: str
    key_for: Callable[[str], ContentKey]
    protection: Protection

    def run(self, new: str, *, workers: int, reporter: Reporter, cancel: threading.Event) -> Resealed:
        """Read, decrypt, encrypt and send everything that is encrypted. new: prefix of the new version."""
        keys = {key_id: self.key_for(key_id).key for key_id in self.known.keys}
        encrypted = [track for track in self.known.tracks if track.scheme != CLEAR]
        opened = {track.id: self._opened(track) for track in self.known.media if track.scheme in SAMPLE_SCHEMES}
        places = {(track.id, segment.index): segment.uri for track in encrypted for segment in track.segments}

        def reseal(item: tuple[PublishedTrack, PublishedSegment]) -> ProtectedSegment:
            track, segment = item
            return self._reseal(track, segment, keys, opened.get(track.id))

        sent = publish_segments(
            self.storage,
            new,
            in_parallel(_segments(encrypted), reseal, cancel=cancel, workers=workers),
            paths=lambda rendition, index: places[rendition, index],
            reporter=reporter,
            cancel=cancel,
            workers=workers,
        )
        segments = {(segment.rendition, segment.index): segment for segment in sent}
        inits = tuple(
            publish_object(self.storage, new, path, init, reporter=reporter)
            for track in self.known.media
            for first, path in track.inits.items()
            if track.id in opened and (init := self.protection.header(track.facts, opened[track.id], first)) is not None
        )
        return Resealed(segments, inits)

    @property
    def same(self) -> set[str]:
        """The paths of what is the same in the new version, manifests apart: pictures, what is clear, init sections that name no key."""
        naming = {path for track in self.known.media if track.scheme in SAMPLE_SCHEMES for path in track.inits.values()}
        clear = {segment.uri for track in self.known.tracks if track.scheme == CLEAR for segment in track.segments}
        return {*self.known.objects, *clear} - naming

    def _opened(self, track: MediaTrack) -> PublishedCmaf:
        """Return what takes the segments of a track apart."""
        try:
            return PublishedCmaf(self._read(track.init, self.known.objects[track.init].sha256), track.facts)
        except (BoxError, KeyError) as problem:
            raise self._damaged(track.init, f"cannot be read: {problem}") from problem

    def _reseal(
        self, track: PublishedTrack, segment: PublishedSegment, keys: dict[str, bytes], container: PublishedCmaf | None
    ) -> ProtectedSegment:
        data = self._read(segment.uri, segment.sha256)
        scheme = scheme_of(track.scheme)
        key, iv = keys[segment.key_id] if segment.key_id else None, bytes.fromhex(segment.iv) if segment.iv else None
        try:
            clear = scheme.open(data, key, iv)
        except VerificationFailed as problem:  # it does not know which segment it was given
            raise self._damaged(segment.uri, f"cannot be opened: {problem.what}") from problem
        whole = Segment(
            rendition=segment.rendition,
            index=segment.index,
            start=segment.start,
            duration=segment.duration,
            samples=segment.samples,
            data=clear,
        )
        if container is None:
            return scheme.seal(whole, self.protection.keys.of(track.id, segment.index))
        try:
            cut = container.cut(whole)
        except BoxError as problem:
            raise self._damaged(segment.uri, f"cannot be read: {problem}") from problem
        return self.protection.seal(cut, container)

    def _read(self, path: str, sha256: str) -> bytes:
        try:
            data = get_if_there(self.storage, f"{self.old}/{path}", sha256)
        except Damaged as problem:
            raise self._damaged(path, "is not the one that was published") from problem
        if data is None:
            raise self._damaged(path, "is lost")
        return data

    def _damaged(self, path: str, what: str) -> VerificationFailed:
        kind = "init section" if any(path == track.init for track in self.known.media) else "segment"
        return VerificationFailed(
            f"the {kind} {what}",
            where=self.storage.location(f"{self.old}/{path}"),
            fix="ingest the source again, with --new-key: what is lost is made again",
        )


def _segments(tracks: list[PublishedTrack]) -> Iterator[tuple[PublishedTrack, PublishedSegment]]:
    return ((track, segment) for track in tracks for segment in track.segments)
