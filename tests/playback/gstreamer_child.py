"""A program of its own, for a Python that has GStreamer's bindings: playbin3 plays one address, and what it presents is written as JSON.

In:   a JSON object as its argument: address; streams, by type the place in the list; timed, or as fast as it can; seeks, in seconds.
Out:  what ``tests/playback/gstreamer.py`` reads. It imports the standard library and gi only.
"""

import importlib
import json
import sys
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
Gst, _ = importlib.import_module("gi.repository.Gst"), importlib.import_module("gi.repository.GstApp")  # that of appsink

LIMIT = 60


class Player:
    """Plays one address."""

    def __init__(self, wanted):
        self.wanted = wanted
        self.seen = {"frames": [], "sought": [], "audio": {}, "words": [], "errors": [], "ended": False, "stalls": 0}
        self.chosen, self.selected = set(), set()
        self.full, self.prerolled = False, None
        self.playbin = Gst.ElementFactory.make("playbin3")
        self.playbin.set_property("uri", wanted["address"])
        # max-lateness and qos: what is late is shown all the same
        out = f"appsink name=out emit-signals=true max-lateness=-1 qos=false sync={'true' if wanted['timed'] else 'false'}"
        self.playbin.set_property("video-sink", self._sink(f"videoconvert ! {out} caps=video/x-raw,format=GRAY8", self._picture))
        self.playbin.set_property("audio-sink", self._sink(f"audioconvert ! {out} caps=audio/x-raw,format=S16LE", self._audio))
        self.playbin.set_property("text-sink", self._sink(out, self._text))

    def _sink(self, shape, take):
        made = Gst.parse_bin_from_description(shape, True)
        sink = made.get_by_name("out")
        sink.connect("new-sample", lambda _: take(sink.emit("pull-sample"), False))
        sink.connect("new-preroll", lambda _: take(sink.emit("pull-preroll"), True))
        return made

    def _picture(self, sample, prerolled):
        shape, time_ = sample.get_caps().get_structure(0), sample.get_segment().to_stream_time(Gst.Format.TIME, sample.get_buffer().pts)
        shown = number(sample.get_buffer(), shape.get_value("width"), shape.get_value("height"))
        if prerolled:
            self.prerolled = (time_ / Gst.SECOND, shown)
        else:
            self.seen["frames"].append(shown)
        return Gst.FlowReturn.OK

    def _audio(self, sample, prerolled):
        if not prerolled:
            channels, rate = (sample.get_caps().get_structure(0).get_value(name) for name in ("channels", "rate"))
            played = self.seen["audio"]
            played[f"{channels} channels"] = played.get(f"{channels} channels", 0) + sample.get_buffer().get_size() / 2 / channels / rate
        return Gst.FlowReturn.OK

    def _text(self, sample, prerolled):
        if not prerolled:
            buffer = sample.get_buffer()
            start = sample.get_segment().to_stream_time(Gst.Format.TIME, buffer.pts)
            text = buffer.extract_dup(0, buffer.get_size()).decode()
            self.seen["words"].append((start / Gst.SECOND, (start + buffer.duration) / Gst.SECOND, text))
        return Gst.FlowReturn.OK

    def play(self):
        """Choose streams, then play to the end, or seek; return what was seen."""
        self.playbin.set_state(Gst.State.PLAYING)  # while it is paused it selects no other streams
        while self._until(Gst.MessageType.STREAMS_SELECTED) and self.selected != self.chosen:
            pass
        self.playbin.set_state(Gst.State.PAUSED)
        self.playbin.get_state(5 * Gst.SECOND)
        for played in ("frames", "words", "audio"):
            self.seen[played].clear()
        self._seek(0)
        self.seen["zero"] = self.prerolled[0] if self.prerolled else 0
        for place in self.wanted["seeks"]:
            self.seen["sought"].append((place, self._seek(place)))
        if self.wanted["seeks"]:
            self.seen["ended"] = True
        else:
            self.playbin.set_state(Gst.State.PLAYING)
            self.seen["ended"] = self._until(Gst.MessageType.EOS)
        self.playbin.set_state(Gst.State.NULL)
        return self.seen

    def _seek(self, place):
        """Seek; return the number of the picture that is shown then, -1 for none."""
        self.prerolled = None
        flags = Gst.SeekFlags.FLUSH | Gst.SeekFlags.ACCURATE
        self.playbin.seek_simple(Gst.Format.TIME, flags, round(place * Gst.SECOND))
        while self._until(Gst.MessageType.ASYNC_DONE) and not self.prerolled:
            pass  # it was that of a change of state before
        return self.prerolled[1] if self.prerolled else -1

    def _until(self, wanted):
        end, bus = time.monotonic() + LIMIT, self.playbin.get_bus()
        while time.monotonic() < end and not self.seen["errors"]:
            message = bus.timed_pop(Gst.SECOND // 10)
            if message is None:
                continue
            if message.type == Gst.MessageType.STREAMS_SELECTED:
                many = range(message.streams_selected_get_size())
                self.selected = {message.streams_selected_get_stream(place).get_stream_id() for place in many}
                if self.selected != self.chosen:
                    self.playbin.send_event(Gst.Event.new_select_streams(sorted(self.chosen)))
            if message.type == wanted:
                return True
            if message.type in (Gst.MessageType.ERROR, Gst.MessageType.WARNING):
                error, detail = message.parse_error() if message.type == Gst.MessageType.ERROR else message.parse_warning()
                self.seen["errors"].append(f"{error.message} ({(detail or '').splitlines()[0].rpartition('/')[2]})")
            elif message.type == Gst.MessageType.STREAM_COLLECTION:
                self._choose(message.parse_stream_collection())
            elif message.type == Gst.MessageType.BUFFERING and self.wanted["timed"]:
                self._wait(message.parse_buffering())
        return False

    def _choose(self, collection):
        """Decide which streams are chosen as soon as GStreamer has selected some: before that it does not listen."""
        streams = [collection.get_stream(place) for place in range(collection.get_size())]
        chosen = []
        for kind, wanted in self.wanted["streams"].items():
            of_kind = [stream for stream in streams if stream.get_stream_type().first_value_nick == kind]
            chosen += [stream.get_stream_id() for stream in (of_kind[wanted : wanted + 1] or of_kind)[:1]]
        self.chosen = set(chosen)

    def _wait(self, level):
        """Pause while it buffers, as every program has to."""
        started = len(self.seen["frames"]) > 1
        self.seen["stalls"] += 1 if level < 100 and started and self.full else 0
        self.full = level == 100
        self.playbin.set_state(Gst.State.PLAYING if level == 100 else Gst.State.PAUSED)


def number(buffer, width, height):
    """Return the number in the barcode of a picture."""
    stride, row = -(-width // 4) * 4, height // 16
    line = buffer.extract_dup(row * stride, width)
    places = [int((bit + 0.5) * width / 16) for bit in range(16)]
    return sum(1 << bit for bit, at in enumerate(places) if sum(line[at - 1 : at + 2]) > 3 * 127)


if __name__ == "__main__":
    Gst.init(None)
    if len(sys.argv) == 1:
        found = Gst.ElementFactory.find("hlsdemux2") and Gst.ElementFactory.find("avdec_h264")
        print(Gst.version_string() if found else "")
    else:
        json.dump(Player(json.loads(sys.argv[1])).play(), sys.stdout)
