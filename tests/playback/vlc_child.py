"""A program of its own: libvlc plays one address, and what it presents is written as JSON. What libvlc logs goes to standard error.

In:   a JSON object as its argument: address; options of VLC; seeks, in seconds.
Out:  what ``tests/playback/vlc.py`` reads.
"""

import ctypes
import itertools
import json
import sys
import threading
import time

LIMIT = 60
JUMP = 8
"""Pictures that it leaves out when it comes late; more is the first seek. All others go back."""
BUFFERING, ENDED, FAILED = 0x103, 0x109, 0x10A  # libvlc_MediaPlayer…
CHROMA, PLANES = b"I420", 3


class Event(ctypes.Structure):
    """libvlc_event_t, of which only buffering has a value."""

    _fields_ = (("type", ctypes.c_int), ("object", ctypes.c_void_p), ("level", ctypes.c_float))


POINTER = ctypes.c_void_p
SETUP = ctypes.CFUNCTYPE(
    ctypes.c_uint, ctypes.POINTER(POINTER), ctypes.POINTER(ctypes.c_char), ctypes.POINTER(ctypes.c_uint), ctypes.POINTER(ctypes.c_uint),
    ctypes.POINTER(ctypes.c_uint), ctypes.POINTER(ctypes.c_uint),
)  # fmt: skip
LOCK = ctypes.CFUNCTYPE(POINTER, POINTER, ctypes.POINTER(POINTER))
DISPLAY = ctypes.CFUNCTYPE(None, POINTER, POINTER)
CALLED = ctypes.CFUNCTYPE(None, ctypes.POINTER(Event), POINTER)


class Player:
    """Plays one address without a window: each picture comes into a buffer."""

    def __init__(self, lib, wanted):
        self.lib, self.wanted = lib, wanted
        self.frames, self.buffering, self.errors = [], [], []
        self.over, self.shown, self.first = threading.Event(), threading.Event(), True
        self.width = self.height = 0
        self.buffer = ctypes.create_string_buffer(0)
        arguments = [option.encode() for option in wanted["options"]]
        self.vlc = POINTER(lib.libvlc_new(len(arguments), (ctypes.c_char_p * len(arguments))(*arguments)))
        media = POINTER(lib.libvlc_media_new_location(self.vlc, wanted["address"].encode()))
        self.player = POINTER(lib.libvlc_media_player_new_from_media(media))
        self.kept = [SETUP(self._setup), LOCK(self._lock), DISPLAY(self._display), CALLED(self._called)]
        lib.libvlc_video_set_format_callbacks(self.player, self.kept[0], None)
        lib.libvlc_video_set_callbacks(self.player, self.kept[1], None, self.kept[2], None)
        events = POINTER(lib.libvlc_media_player_event_manager(self.player))
        for kind in (BUFFERING, ENDED, FAILED):
            lib.libvlc_event_attach(events, kind, self.kept[3], None)

    def _setup(self, opaque, chroma, width, height, pitches, lines):
        self.width, self.height = width[0], height[0]
        for at, byte in enumerate(CHROMA):
            chroma[at] = byte
        for plane in range(PLANES):
            pitches[plane], lines[plane] = -(-width[0] // 32) * 32, -(-height[0] // 32) * 32
        self.buffer = ctypes.create_string_buffer(pitches[0] * lines[0] * PLANES)
        return 1

    def _lock(self, _, planes):
        start, size = ctypes.addressof(self.buffer), len(self.buffer) // PLANES
        for plane in range(PLANES):
            planes[plane] = start + plane * size
        return None

    def _display(self, *_):
        row = self.height // 16 * (-(-self.width // 32) * 32)
        places = [row + int((bit + 0.5) * self.width / 16) for bit in range(16)]
        self.frames.append(sum(1 << bit for bit, at in enumerate(places) if self.buffer.raw[at] > 127))
        self.shown.set()

    def _called(self, event, _):
        kind = event.contents.type
        if kind == BUFFERING:
            self.buffering.append((len(self.frames), event.contents.level))
        else:
            self.errors += ["it gives up"] if kind == FAILED else []
            self.over.set()

    def play(self):
        """Play to the end, or seek; return what was seen."""
        self.lib.libvlc_media_player_play(self.player)
        self.shown.wait(LIMIT)
        sought = [(place, self._seek(place)) for place in sorted(self.wanted["seeks"], reverse=True)]  # backwards: the end is far
        ended = bool(sought) or self.over.wait(LIMIT)
        stalls = sum(level < 100 for frames, level in self.buffering if 2 < frames < len(self.frames)) if not sought else 0
        seen = {"frames": self.frames, "sought": sought, "errors": self.errors, "ended": ended, "stalls": stalls}
        self.lib.libvlc_media_player_stop(self.player)
        return seen

    def _seek(self, place):
        """Seek; return the number of the first picture that does not follow the one before."""
        before = len(self.frames)
        self.lib.libvlc_media_player_set_time(self.player, ctypes.c_int64(round(place * 1000)))
        end = time.monotonic() + LIMIT
        while time.monotonic() < end and not self.over.is_set():
            shown = self.frames[max(0, before - 1) :]
            for earlier, after in itertools.pairwise(shown):
                if after < earlier or (self.first and after > earlier + JUMP):
                    self.first = False
                    return after
            time.sleep(0.01)
        return -1


def load():
    """Return libvlc, None where there is none."""
    try:
        lib = ctypes.CDLL("libvlc.so.5")
    except OSError:
        return None
    for name in ("new", "media_new_location", "media_player_new_from_media", "media_player_event_manager"):
        getattr(lib, f"libvlc_{name}").restype = POINTER
    lib.libvlc_get_version.restype = ctypes.c_char_p
    return lib


if __name__ == "__main__":
    library = load()
    if len(sys.argv) == 1:
        print(library.libvlc_get_version().decode() if library else "")
    else:
        json.dump(Player(library, json.loads(sys.argv[1])).play(), sys.stdout)
