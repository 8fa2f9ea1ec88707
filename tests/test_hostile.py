"""Files that want something else than to be shown: nothing is followed, nothing crashes vidpipe, nothing reaches the terminal."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.source_support import make
from vidpipe.encode.command import source_options
from vidpipe.errors import SourceRefused
from vidpipe.media.ffmpeg import find
from vidpipe.media.process import Completed, Limits, run
from vidpipe.source import probe as probe_module
from vidpipe.source.facts import Source
from vidpipe.source.findings import fact_findings
from vidpipe.source.limits import SourceLimits
from vidpipe.source.locate import locate_changes, locate_damage
from vidpipe.source.policy import load_policy
from vidpipe.source.probe import probe
from vidpipe.source.text import one_line
from vidpipe.source.validate import validate

FIXTURES = Path(__file__).parent.parent / "fixtures"
SOON = SourceLimits(wall_seconds=10)


@pytest.fixture
def requests() -> Iterator[tuple[str, list[str]]]:
    """A web server on the loopback: its address, and the paths that were asked of it."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
        thread.join()


# Each names {target}, once as a local path and once as an http address.
DISGUISES = {
    "hls": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n",
    "hls-master": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000\n{target}\n",
    "concat": "ffconcat version 1.0\nfile '{target}'\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\na=control:{target}\n"
    "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT10S" '
    'profiles="urn:mpeg:dash:profile:isoff-main:2011">'
    '<Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>{target}</BaseURL>'
    '<SegmentList><SegmentURL media="{target}"/></SegmentList></Representation></AdaptationSet></Period></MPD>',
    "imf": '<?xml version="1.0"?><CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016"><Id>{target}</Id></CompositionPlaylist>',
    "srt": "1\n00:00:00,000 --> 00:00:01,000\n{target}\n",
    "webvtt": "WEBVTT\n\n00:00.000 --> 00:01.000\n{target}\n",
    "asx": '<asx version="3.0"><entry><ref href="{target}"/></entry></asx>',
    "reference-movie": "RTSPtext\n{target}\n",
    "ffmetadata": ";FFMETADATA1\ntitle={target}\n",
    "svg": '<svg xmlns="http://www.w3.org/2000/svg"><image href="{target}"/></svg>',
}


SUFFIXES = (".mp4", ".ts", ".mkv", "")
OWN_SUFFIX = {
    "hls": ".m3u8",
    "hls-master": ".m3u8",
    "concat": ".ffconcat",
    "sdp": ".sdp",
    "dash": ".mpd",
    "imf": ".xml",
    "srt": ".srt",
    "webvtt": ".vtt",
}

EXAMINE = """
import json, os, sys
sys.path[:] = sys.argv.pop(1).split(os.pathsep)
from vidpipe.source.child.start import loaded
loaded('examine')
from vidpipe.source.child.entry import answer
from vidpipe.source.limits import SourceLimits
for path in sys.argv[1:]:
    print(json.dumps(answer(path, "mutant", SourceLimits(max_duration=3600))), flush=True)
os._exit(0)
"""


def examined(files: list[Path], limits: Limits) -> tuple[list[dict[str, Any]], Completed]:
    """Let one child answer for many files, as ``probe`` does for one (a child each costs a quarter of a second)."""
    done = run([sys.executable, "-I", "-c", EXAMINE, os.pathsep.join(path for path in sys.path if path), *files], limits=limits)
    return [json.loads(line) for line in done.stdout.splitlines()], done


def test_a_file_that_names_another_one_is_not_followed(tmp_path: Path, requests: tuple[str, list[str]]) -> None:
    address, asked = requests
    # Whoever opened the pipe for reading would wait for a writer for ever, and the child would run into its time limit.
    pipe = tmp_path / "secret.ts"
    os.mkfifo(pipe)
    files = []
    for kind, text in DISGUISES.items():
        for number, target in enumerate((str(pipe), "secret.ts", f"file:{pipe}", f"{address}/{kind}", f"concat:{pipe}|{pipe}")):
            for suffix in {*SUFFIXES, OWN_SUFFIX.get(kind, "")}:
                files.append(tmp_path / f"{kind}-{number}{suffix}")
                files[-1].write_text(text.format(target=target))
    answers, done = examined(files, Limits(wall_seconds=60))
    assert len(answers) == len(files), f"{files[len(answers)].name} was followed (or its child died: {done})"
    for file, answer in zip(files, answers, strict=True):
        assert re.match("not a (known|supported) video container|it is an? ", answer["problems"][0]), (file.name, answer)
    assert asked == []
    with pytest.raises(SourceRefused, match=r"not a supported video container|not a known video container"):
        probe(str(files[0]), limits=SOON)


def alias(target: Path) -> bytes:
    """Return an entry of a data reference box that says that the media lies in another file (QuickTime, "alis")."""
    path, name = str(target).encode(), target.name.encode()
    record = bytes(10) + b"\x04Disk".ljust(28, b"\0") + bytes(12) + (bytes([len(name)]) + name).ljust(64, b"\0") + bytes(16)
    record += (1).to_bytes(2, "big") * 2 + bytes(16)  # levels up from here and down to there
    record += (2).to_bytes(2, "big") + len(path).to_bytes(2, "big") + path + bytes(len(path) % 2)
    record += (18).to_bytes(2, "big") + len(path).to_bytes(2, "big") + path + bytes(len(path) % 2) + b"\xff\xff\0\0"
    return (12 + len(record)).to_bytes(4, "big") + b"alis" + bytes(4) + record


def referring(data: bytes, target: Path) -> bytes:
    """Return a movie whose first track claims that its media lies in ``target``. Its moov box comes last, so no offset changes."""
    moov = data.rindex(b"moov") - 4
    start = data.index(b"dref", moov) + 12
    entry = int.from_bytes(data[start : start + 4], "big")
    new = alias(target)
    changed = bytearray(data[:start] + new + data[start + entry :])
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        at = data.index(kind, moov) - 4
        changed[at : at + 4] = (int.from_bytes(data[at : at + 4], "big") + len(new) - entry).to_bytes(4, "big")
    return bytes(changed)


def test_an_external_data_reference_is_not_followed(tmp_path: Path) -> None:
    """The other file is a pipe: whoever opened it would wait for ever."""
    os.mkfifo(tmp_path / "secret.mov")
    film = tmp_path / "film.mov"
    film.write_bytes(referring(make("plain-mp4", tmp_path).read_bytes(), tmp_path / "secret.mov"))
    # ffmpeg sees the reference, so the file is well made: asked to follow, it waits for the pipe
    follow = ["-enable_drefs", "1", "-use_absolute_path", "1", "-i", f"file:{film}"]
    followed = run([find().path, "-hide_banner", *follow, "-f", "null", "-"], limits=Limits(wall_seconds=3))
    assert followed.timed_out or "secret.mov" in followed.stderr_tail
    with pytest.raises(SourceRefused, match="its video stream is empty"):
        probe(str(film), limits=SOON)
    options = source_options(str(film), "mov")
    decode = ["-f", options["format"], "-protocol_whitelist", options["protocol_whitelist"], "-i", options["filename"], "-f", "null", "-"]
    assert not run([find().path, *map(str, decode)], limits=Limits(wall_seconds=10)).timed_out


@pytest.mark.parametrize(
    "name", ["img%03d.png", "http:x.mp4", "concat:a|b", "-i.mp4", "data:x.mp4", "pipe:0", "a b'c\"d;$(x).mp4", "Ünïcode 影.mp4"]
)
def test_a_name_is_only_a_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes((FIXTURES / "one-second.mp4").read_bytes())
    source = probe(name)
    assert source.name == name
    assert not fact_findings(source, load_policy())[1:]
    assert validate(source, load_policy(), find()).refused is False


CHILDREN = {
    "crash": ("import os; os.abort()", "it crashes"),
    "hang": ("import time; time.sleep(60)", "was stopped"),
    "spin": ("while True: pass", "CPU time|was stopped"),
    "balloon": ("x = bytearray(1 << 40)", "memory"),
    "exit": ("raise SystemExit('segment \\x1b[31mred')", "the probe failed$"),
    "babble": ("print('x' * 100)", "no usable result"),
    "wrong json": ("print('[1]')", "no usable result"),
    "wrong facts": ('print(\'{"source": {"name": 5}}\')', "no usable result"),
    "nothing": ("", "no usable result"),
    "flood": ("import sys; sys.stdout.write('x' * 10_000_000)", "."),
}


@pytest.mark.parametrize("kind", CHILDREN)
def test_whatever_the_child_does_ends_in_a_sentence(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program, sentence = CHILDREN[kind]
    monkeypatch.setattr(probe_module, "CHILD", program)
    limits = SourceLimits(wall_seconds=2, cpu_seconds=1, memory_bytes=1 << 30, output_bytes=1 << 20, seconds_per_gigabyte=0)
    with pytest.raises(SourceRefused, match=sentence) as caught:
        probe(str(FIXTURES / "one-second.mp4"), limits=limits)
    assert "\x1b" not in "\n".join(caught.value.lines())


TEXTS = {
    "colour": ("a\x1b[31mred\x1b[0m", "ared"),
    "title": ("\x1b]0;owned\x07ok", "ok"),
    "c1": ("\x9b31mx\x85y\x00z", "xyz"),
    "string": ("\x1bP1$r0m\x1b\\ok", "ok"),
    "bidi": ("a\u202eb\u2066c\u200fd", "abcd"),
    "lines": ("a\r\nb\tc", "a b c"),
    "lonely escape": ("a\x1b", "a"),
    "surrogate": ("a\ud800b", "ab"),
    "letters": ("Ünï 影 🎬", "Ünï 影 🎬"),
    "long": ("x" * 1000, "x" * 199 + "…"),
}


@pytest.mark.parametrize(("text", "cleaned"), TEXTS.values(), ids=TEXTS)
def test_text_from_a_file_is_tame(text: str, cleaned: str) -> None:
    assert one_line(text) == cleaned


@given(st.text(max_size=300))
def test_no_text_keeps_a_control_character(text: str) -> None:
    cleaned = one_line(text)
    assert cleaned.isprintable() or all(char.isprintable() or char.isspace() for char in cleaned)
    assert not {chr(code) for code in [*range(32), *range(127, 160)]} & set(cleaned)
    assert len(cleaned) <= 200


# Mutations: the file is damaged in any way, and the outcome is a report or a refusal.

CONTAINERS = ("plain-mp4", "mkv-29.97", "ts-offset", "avi", "dnxhd-mxf", "webm")
BATCH = 10
PLACE = st.floats(0, 1, exclude_max=True)
MUTATION = st.one_of(
    st.tuples(st.just("cut"), PLACE),
    st.tuples(st.just("flip"), PLACE, st.integers(1, 255)),
    st.tuples(st.just("splice"), PLACE, PLACE, st.integers(1, 2000)),
    st.tuples(st.just("zero"), PLACE, st.integers(1, 2000)),
    st.tuples(st.just("head"), st.integers(0, 400), st.integers(0, 255)),
)
MUTANT = st.tuples(st.sampled_from(CONTAINERS), st.lists(MUTATION, min_size=1, max_size=8))


def mutated(data: bytes, mutations: list[tuple[Any, ...]]) -> bytes:
    """Return ``data`` after every mutation in turn."""
    changed = bytearray(data)
    for kind, *numbers in mutations:
        if not changed:
            break
        if kind == "head":  # the first bytes say what the file is; they are few, so they are aimed at
            changed[numbers[0] % len(changed)] = numbers[1]
            continue
        at = int(numbers[0] * len(changed))
        if kind == "cut":
            del changed[at:]
        elif kind == "flip":
            changed[at] ^= numbers[1]
        elif kind == "zero":
            changed[at : at + numbers[1]] = bytes(len(changed[at : at + numbers[1]]))
        else:
            other = int(numbers[1] * len(changed))
            changed[at:at] = changed[other : other + numbers[2]]
    return bytes(changed)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("originals")
    return {name: make(name, folder).read_bytes() for name in CONTAINERS}


def check(mutants: list[tuple[str, list[tuple[Any, ...]]]], originals: dict[str, bytes], *, decode: int) -> None:
    """Examine mutants in one child; those after a crash, and what can be decoded of the first ``decode`` accepted ones, each in its own."""
    policy, ffmpeg, accepted = load_policy(), find(), []
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number}.bin" for number in range(len(mutants))]
        for file, (name, mutations) in zip(files, mutants, strict=True):
            file.write_bytes(mutated(originals[name], mutations))
        full = [file for file in files if file.stat().st_size]
        answers, done = examined(full, SourceLimits().child(0))
        if done.returncode == 0:
            assert len(answers) == len(full), done.stderr_tail
        for answer in answers:
            if "source" in answer:
                accepted.append(Source.model_validate(answer["source"]))
            else:
                assert answer["problems"], "a refusal without a reason"
        for file in full[len(answers) :]:  # the child crashed or hung: alone, such a file must end in a sentence
            with contextlib.suppress(SourceRefused):
                accepted.append(probe(str(file), limits=SOON))
        for source in accepted:
            assert source.video.frames > 0
            assert source.duration > 0
            fact_findings(source, policy)
        for source in accepted[:decode]:
            with contextlib.suppress(SourceRefused):
                validate(source, policy, ffmpeg, limits=SourceLimits(wall_seconds=20, decode_seconds_per_second=1))


CALM = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example, HealthCheck.function_scoped_fixture]


@settings(max_examples=5, deadline=None, derandomize=True, suppress_health_check=CALM, database=None)
@given(mutants=st.lists(MUTANT, min_size=BATCH, max_size=BATCH))
def test_fifty_mutants(mutants: list[tuple[str, list[tuple[Any, ...]]]], originals: dict[str, bytes]) -> None:
    check(mutants, originals, decode=1)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@settings(max_examples=200, deadline=None, suppress_health_check=CALM, print_blob=True)
@given(mutants=st.lists(MUTANT, min_size=BATCH, max_size=BATCH))
def test_two_thousand_mutants(mutants: list[tuple[str, list[tuple[Any, ...]]]], originals: dict[str, bytes]) -> None:
    check(mutants, originals, decode=BATCH)


def test_the_facts_of_a_long_film_reach_the_child() -> None:
    """They are longer than the argument of a program may be (128 KiB)."""
    source = probe(str(FIXTURES / "one-second.mp4"))
    keys = tuple(range(0, 20_000 * 90_000, 90_000))
    long = source.model_copy(update={"video": source.video.model_copy(update={"key_pts": keys})})
    assert len(long.model_dump_json()) > 1 << 17
    assert locate_damage(long) == ()
    assert locate_changes(long) == long.audio
