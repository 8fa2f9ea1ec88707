"""Inspection of a real package, of hand-written playlists, and of everything that is no playlist."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from fractions import Fraction
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import servers
from tests.test_web import sending
from tests.title_support import KEY, PREFIX, encode_title, publish_title
from vidpipe.data import report
from vidpipe.errors import UsageError
from vidpipe.inspect import location as place
from vidpipe.inspect.inspection import inspect
from vidpipe.inspect.location import MOST_PLAYLIST_BYTES
from vidpipe.inventory.measure import Bitrate
from vidpipe.manifest.parse import ByteRange, MasterPlaylist, MediaPlaylist, PlaylistError, parse
from vidpipe.storage import open_storage
from vidpipe.storage.local import LocalStorage

MEDIA = """#EXTM3U
#EXT-X-VERSION:4
#EXT-X-TARGETDURATION:6
# a comment
#EXT-X-MAP:URI="all.mp4",BYTERANGE="600@0"
#EXTINF:6.006,A title
#EXT-X-BYTERANGE:1000@600
all.mp4
#EXT-X-DISCONTINUITY
#EXT-X-KEY:METHOD=AES-128,URI="k?a=1,b=2",IV=0xab
#EXTINF:5,
two.m4s
#EXT-X-KEY:METHOD=NONE
#EXT-X-GAP
#EXTINF:.5,
three.m4s
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library")
    publish_title(encode_title(tmp_path_factory.mktemp("encoded")), LocalStorage(folder))
    (folder / PREFIX / "record.json").write_text(json.dumps({"encryption": {"key_ids": [KEY.key_id]}}))
    return folder


@pytest.fixture
def server(library: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(library))) as web:
        thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{web.server_port}"
        web.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "location",
    [
        pytest.param("{library}/" + PREFIX, id="version"),
        pytest.param("{library}/title", id="title-takes-the-newest-version"),
        pytest.param("{library}/" + PREFIX + "/master.m3u8", id="master"),
        pytest.param("file://{library}/" + PREFIX, id="file-url"),
    ],
)
def test_a_title_of_our_own(library: Path, location: str) -> None:
    found = inspect(location.format(library=library))
    assert found.location == str(library / PREFIX / "master.m3u8")
    assert (found.kind, found.version, found.independent_segments, found.problems) == ("master", None, True, ())
    assert [(variant.uri, variant.width, variant.frame_rate, variant.audio) for variant in found.variants] == [
        ("video-high.m3u8", 160, "24.000", "audio-2ch"),
        ("video-low.m3u8", 160, "24.000", "audio-2ch"),
    ]
    for variant in found.variants:  # what is declared is what anybody can measure
        assert variant.measured is not None
        assert (variant.bandwidth, variant.average_bandwidth) == (variant.measured.peak, variant.measured.average)
    assert [(member.name, member.language, member.default, member.channels) for member in found.renditions] == [
        ("English", "en", True, "2")
    ]
    high = found.playlists[0]
    assert (high.kind, high.segments, high.duration, high.shortest, high.longest) == ("variant", 3, Fraction(5, 2), Fraction(1, 2), 1)
    assert (high.init, high.encrypted_init, high.clear_segments) == (("video/high/init.mp4",), False, 0)
    assert [(key.method, key.uri, key.segments, key.ivs) for key in high.keys] == [("AES-128", "keys/" + "9f2c" * 8, 3, 3)]
    assert high.bytes == sum(file.stat().st_size for file in (library / PREFIX / "video/high").glob("*.m4s"))


def test_what_lies_there_is_compared_with_an_inventory_beside_it(tmp_path: Path) -> None:
    """Keys are those of the inventory: there is no record here."""
    (tmp_path / "made").mkdir()
    inventory = publish_title(encode_title(tmp_path / "made"), LocalStorage(tmp_path))
    folder = tmp_path / PREFIX
    (folder / "inventory.json").write_text(inventory.model_dump_json())
    found = inspect(str(folder))
    assert (found.problems, found.notes) == ((), ())
    assert found.inventory is not None
    assert (found.inventory.content_id, found.inventory.version) == tuple(PREFIX.split("/"))
    assert found.inventory.objects == len([file for file in folder.rglob("*") if file.is_file()]) - 1
    assert found.inventory.bytes == sum(entry.size for entry in inventory.entries.values())
    for name in ("video/low/00002.m4s", "video/low/00003.m4s", "video/high/init.mp4"):
        (folder / name).write_bytes((folder / name).read_bytes()[:-1])
    for name in ("master.m3u8", "video-high.m3u8"):
        (folder / name).write_text((folder / name).read_text() + "# by hand\n")
    size = inventory.entries["video/low/00002.m4s"].size
    init = inventory.entries["video/high/init.mp4"].size
    other = "it is not the playlist that was published: the inventory has another hash"
    assert inspect(str(folder)).problems == (
        f"master.m3u8: {other}",
        f"video-high.m3u8: {other}",
        f"video-high.m3u8: line 6: init section video/high/init.mp4: it has {init - 1} bytes; the inventory says {init}",
        f"video-low.m3u8: line 12: video/low/00002.m4s: it has {size - 1} bytes; the inventory says {size} (1 more like this)",
    )
    (folder / "inventory.json").write_text("{")
    assert inspect(str(folder)).inventory is None


def test_the_report_is_json_with_plain_seconds(library: Path) -> None:
    value = json.loads(json.dumps(report(inspect(str(library / PREFIX)))))
    assert value["format"] == "vidpipe.inspection/1"
    assert value["playlists"][0]["duration"] == 2.5
    assert value["variants"][0]["codecs"][1] == "mp4a.40.2"


def test_a_title_on_a_web_server(server: str, library: Path) -> None:
    found = inspect(f"{server}/{PREFIX}/master.m3u8")
    assert [playlist.segments for playlist in found.playlists] == [3, 3, 3]
    assert all(playlist.bytes for playlist in found.playlists)  # few enough to be asked for
    assert (found.problems, found.notes) == ((), ())
    with pytest.raises(UsageError, match="not found"):
        inspect(f"{server}/{PREFIX}/none.m3u8")


def test_a_title_on_s3(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, library: Path) -> None:
    with servers.moto() as server:
        server.use(monkeypatch, tmp_path)
        with closing(open_storage(f"s3://{server.bucket}/lib")) as storage:
            for file in (library / PREFIX).rglob("*.*"):
                path = str(file.relative_to(library))
                storage.put(path, file, content_type="a/b", cache_control="no-store", sha256=hashlib.sha256(file.read_bytes()).hexdigest())
        for location in (f"s3://{server.bucket}/lib/{PREFIX}", f"s3://{server.bucket}/lib/{PREFIX}/master.m3u8"):
            found = inspect(location)
            assert found.location == f"s3://{server.bucket}/lib/{PREFIX}/master.m3u8"
            assert found.problems == ()
            assert [variant.measured and variant.measured.peak for variant in found.variants] == [v.bandwidth for v in found.variants]
        with pytest.raises(UsageError):
            inspect(f"s3://{server.bucket}/lib/none.m3u8")
        with closing(open_storage(f"s3://{server.bucket}/lib/{PREFIX}")) as storage:
            storage.delete_prefix("video/high")
        assert [problem.partition(": line")[0] for problem in inspect(location).problems] == ["video-high.m3u8"]
        monkeypatch.setattr(place, "MOST_PLAYLIST_BYTES", 100)
        with pytest.raises(UsageError, match="too large"):
            inspect(location)


def test_of_the_versions_of_a_title_the_newest_is_meant(tmp_path: Path) -> None:
    for version in ("20260102-000000", "20260301-000000", "20260201-000000"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "master.m3u8").write_text(HEAD)
    assert inspect(str(tmp_path)).location == str(tmp_path / "20260301-000000" / "master.m3u8")


def test_a_media_playlist(tmp_path: Path) -> None:
    (tmp_path / "my list #1.m3u8").write_text(MEDIA)
    (tmp_path / "two.m4s").write_bytes(bytes(2000))
    (tmp_path / "all.mp4").write_bytes(bytes(1600))
    (tmp_path / "k").write_bytes(bytes(16))
    found = inspect(str(tmp_path / "my list #1.m3u8"))
    assert found.problems == ()
    assert (found.kind, found.version, found.duration) == ("media", 4, Fraction("11.506"))
    (only,) = found.playlists
    assert (only.segments, only.discontinuities, only.clear_segments, only.media_sequence) == (3, 1, 2, 0)
    assert [(key.uri, key.ivs) for key in only.keys] == [("k?a=1,b=2", 1)]
    assert (only.bytes, only.measured) == (None, None)  # a gap has no size


def test_what_is_missing_is_a_problem_and_hides_nothing_else(tmp_path: Path) -> None:
    elsewhere = ("https://x.example/b.m3u8", "../c.m3u8", "/etc/passwd")
    master = "#EXTM3U\n" + "".join(
        f"#EXT-X-STREAM-INF:BANDWIDTH=1000\n{uri}\n" for uri in ("a.m3u8", "none.m3u8", "junk.m3u8", "master.m3u8", *elsewhere)
    )
    (tmp_path / "master.m3u8").write_text(master)
    (tmp_path / "a.m3u8").write_text(MEDIA)
    (tmp_path / "junk.m3u8").write_text("#EXTM3U\n#EXTINF:1\na\n")
    found = inspect(str(tmp_path))
    assert found.duration == Fraction("11.506")
    assert found.problems == (
        "a.m3u8: line 5: init section all.mp4: it cannot be read: No such file or directory (3 more like this)",
        "none.m3u8: it cannot be read: No such file or directory",
        "junk.m3u8: line 1: EXT-X-TARGETDURATION is missing",
        "master.m3u8: it is a master playlist; a media playlist was expected",
        "../c.m3u8: it lies outside the folder and was not checked",
        "/etc/passwd: it lies outside the folder and was not checked",
    )
    assert found.notes == ("https://x.example/b.m3u8: it lies at https://x.example, and was not checked",)


@pytest.mark.parametrize(
    ("name", "content", "where", "what"),
    [
        pytest.param("clip.mp4", b"\0\0\0\x18ftypiso6", ":1", "begins with #EXTM3U", id="a-video"),
        pytest.param("p.m3u8", b"", ":1", "begins with #EXTM3U", id="empty"),
        pytest.param("p.m3u8", b"#EXTM3U\n", ":1", "neither variants nor segments", id="only-a-header"),
        pytest.param("p.m3u8", b"#EXTM3U\n#EXT-X-TARGETDURATION:6\na\xff\n", ":3", "not UTF-8", id="not-utf-8"),
        pytest.param(None, None, "", "no such file", id="missing"),
        pytest.param("other.txt", b"", "", "no master.m3u8 in this directory", id="directory"),
    ],
)
def test_what_is_no_playlist(tmp_path: Path, name: str | None, content: bytes | None, where: str, what: str) -> None:
    path = tmp_path / (name or "none.m3u8")
    if content is not None:
        path.write_bytes(content)
    if "directory" in what:
        path = tmp_path
    with pytest.raises(UsageError, match=what) as caught:
        inspect(str(path))
    assert caught.value.place == f"{path}{where}"
    assert caught.value.fix


@pytest.mark.parametrize("location", ["ftp://x/master.m3u8", "rtsp://x"])
def test_places_that_are_not_known(location: str) -> None:
    with pytest.raises(UsageError, match="cannot be read from"):
        inspect(location)


@pytest.mark.parametrize(
    ("location", "what", "fix"),
    [
        ("~nosuchuser/master.m3u8", "home directory", "give the path"),
        ("file://[x/master.m3u8", "Invalid IPv6", "give the path"),
        ("s3:/media/vod", "not a valid URL", "did you mean s3://media/vod?"),
        ("https:/host/master.m3u8", "not a valid URL", "did you mean https://host/master.m3u8?"),
        ("https:/me:secret@host/master.m3u8", "not a valid URL", "begin it with"),
    ],
)
def test_a_location_with_a_slip(location: str, what: str, fix: str) -> None:
    with pytest.raises(UsageError, match=what) as caught:
        inspect(location)
    assert fix in str(caught.value.fix)
    assert "secret" not in str(caught.value.lines())


# --- the reader -----------------------------------------------------------------------------------------------------

HEAD = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n"
VARIANT = "#EXTM3U\n#EXT-X-STREAM-INF:"


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        pytest.param("\ufeff#EXTM3U\n", 1, "byte-order mark", id="bom"),
        pytest.param(" #EXTM3U\n", 1, "begins with #EXTM3U", id="indented"),
        pytest.param(HEAD + "#EXT-X-MAP:URI=\"\ta\"\n", 3, "control character", id="tab"),
        pytest.param(HEAD + "#EXTINF:6,\x00\na", 3, "control character", id="zero-byte-in-a-title"),
        pytest.param(HEAD + f"#EXTINF:{'6' * 6000},\na\n", 3, "is not a decimal", id="extinf-6000-digits"),
        pytest.param(HEAD + f"#EXTINF:6,\n#EXT-X-BYTERANGE:{'6' * 6000}\na\n", 4, "is not a byte range", id="range-6000-digits"),
        pytest.param(HEAD + "#EXTINF:6,\n#EXT-X-BYTERANGE:9\na\n", 4, "has no offset", id="range-without-offset"),
        pytest.param(VARIANT + f"BANDWIDTH=1,RESOLUTION=1x{'6' * 6000}\na\n", 2, "not WIDTHxHEIGHT", id="resolution-6000-digits"),
        pytest.param(VARIANT + "BANDWIDTH=1\n{$x}\n", 3, "defines the variable x", id="variable-unknown"),
        pytest.param(HEAD + "#EXT-X-DEFINE:IMPORT=\"x\"\n", 3, "does not define the variable x", id="import-unknown"),
        pytest.param(HEAD + "#EXT-X-DEFINE:QUERYPARAM=\"x\"\n", 3, "no query parameter x", id="query-unknown"),
        pytest.param(HEAD + "#EXT-X-DEFINE:VALUE=\"x\"\n", 3, "neither NAME", id="define-nothing"),
        pytest.param(HEAD + "#EXT-X-DEFINE:NAME=\"x\",VALUE=\"\"\n" * 2, 4, "a second time", id="define-twice"),
        pytest.param(HEAD + "#EXTINF:6,\na b\n", 4, "must not contain spaces", id="blank-in-uri"),
        pytest.param(HEAD + "#EXTINF:6\na\n", 3, "no comma", id="extinf-without-comma"),
        pytest.param(HEAD + "#EXTINF:nan,\na\n", 3, "'nan' is not a decimal", id="extinf-nan"),
        pytest.param(HEAD + "#EXTINF:-1,\na\n", 3, "'-1' is not a decimal", id="extinf-negative"),
        pytest.param(HEAD + "#EXTINF:1E-7,\na\n", 3, "'1E-7' is not a decimal", id="extinf-exponent"),
        pytest.param(HEAD + "#EXTINF: 6,\na\n", 3, "' 6' is not a decimal", id="extinf-blank"),
        pytest.param(HEAD + "a\n", 3, "neither variants|without EXTINF", id="segment-without-extinf"),
        pytest.param(HEAD + "#EXTINF:6,\n#EXTINF:6,\na\n", 3, "not followed by a URI", id="extinf-twice"),
        pytest.param(HEAD + "#EXTINF:6,\n", 3, "not followed by a URI", id="extinf-last"),
        pytest.param(HEAD + "#EXT-X-TARGETDURATION:6\n", 3, "a second time", id="target-twice"),
        pytest.param("#EXTM3U\n#EXT-X-TARGETDURATION:6.5\n", 2, "not a whole number", id="target-not-integer"),
        pytest.param("#EXTM3U\n#EXTINF:6,\na\n", 1, "TARGETDURATION is missing", id="no-target"),
        pytest.param(HEAD + VARIANT[8:] + "BANDWIDTH=1\na\n", 3, "cannot appear in one playlist", id="mixed"),
        pytest.param(HEAD + "#EXT-X-KEY:URI=\"k\"\n", 3, "has no METHOD", id="key-without-method"),
        pytest.param(HEAD + "#EXT-X-KEY:METHOD=AES-128\n", 3, "has no URI", id="key-without-uri"),
        pytest.param(HEAD + "#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=12\n", 3, "not a hexadecimal", id="iv"),
        pytest.param(HEAD + "#EXT-X-MAP:URI=init.mp4\n", 3, "must be quoted", id="map-unquoted"),
        pytest.param(VARIANT + "BANDWIDTH=1,BANDWIDTH=2\na\n", 2, "appears twice", id="attribute-twice"),
        pytest.param(VARIANT + "BANDWIDTH=1, CODECS=\"a\"\na\n", 2, "cannot be read at ' CODECS", id="blank-after-comma"),
        pytest.param(VARIANT + "BANDWIDTH=1,\na\n", 2, "ends with a comma", id="trailing-comma"),
        pytest.param(VARIANT + "BANDWIDTH=1,CODECS=\"a\na\n", 2, "cannot be read", id="open-quote"),
        pytest.param(VARIANT + "BANDWIDTH=1,CODECS=\"\"\na\n", 2, "CODECS is empty", id="empty-string"),
        pytest.param(VARIANT + "\na\n", 2, "is empty", id="no-attributes"),
        pytest.param(VARIANT + "RESOLUTION=1x1\na\n", 2, "has no BANDWIDTH", id="no-bandwidth"),
        pytest.param(VARIANT + "BANDWIDTH=1k\na\n", 2, "'1k' is not a whole number", id="bandwidth"),
        pytest.param(VARIANT + "BANDWIDTH=1,RESOLUTION=1280X720\na\n", 2, "not WIDTHxHEIGHT", id="resolution"),
        pytest.param(VARIANT + "BANDWIDTH=1\n#EXT-X-VERSION:3\na\n", 2, "not followed by a URI", id="tag-before-uri"),
        pytest.param(VARIANT + "BANDWIDTH=1\n", 2, "not followed by a URI", id="no-uri"),
        pytest.param(VARIANT + "BANDWIDTH=1\na\nb\n", 4, "without EXT-X-STREAM-INF", id="uri-too-many"),
        pytest.param("#EXTM3U\n#EXT-X-MEDIA:TYPE=A,GROUP-ID=\"a\",NAME=\"b\",DEFAULT=TRUE\n", 2, "DEFAULT is YES or NO", id="default"),
    ],
)  # fmt: skip
def test_faults_are_named_with_their_line(text: str, line: int, what: str) -> None:
    with pytest.raises(PlaylistError, match=what) as caught:
        parse(text.encode())
    assert caught.value.line == line


PIECES = [*(MEDIA + HEAD).splitlines(), "#EXT-X-STREAM-INF:BANDWIDTH=1", '#EXT-X-DEFINE:NAME="a",VALUE="b"', "{$a}", "9" * 6000]


@settings(deadline=None)
@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=20)), max_size=12), st.sampled_from(["\n", "\r\n", ":", ",", "="]))
def test_whatever_it_says_it_is_read_or_refused_with_a_line(pieces: list[str], joint: str) -> None:
    with suppress(PlaylistError):
        parse(("#EXTM3U\n" + joint.join(pieces)).encode("utf-8", "surrogatepass"))


def test_what_stands_where(tmp_path: Path) -> None:
    playlist = parse(MEDIA.replace("\n", "\r\n").encode())
    assert isinstance(playlist, MediaPlaylist)
    first, second, third = playlist.segments
    assert first.init is not None
    assert (first.line, first.init.keys, first.keys) == (8, (), ())
    assert (first.init.byte_range, first.byte_range) == (ByteRange(length=600, offset=0), ByteRange(length=1000, offset=600))
    assert ([key.iv for key in second.keys], second.discontinuity, third.keys, third.gap) == (["AB".rjust(32, "0")], True, (), True)


def test_a_map_under_a_key_is_seen() -> None:
    text = HEAD + '#EXT-X-KEY:METHOD=AES-128,URI="k"\n#EXT-X-MAP:URI="i"\n#EXTINF:6,\na\n'
    playlist = parse(text.encode())
    assert isinstance(playlist, MediaPlaylist)
    assert playlist.segments[0].init is not None
    assert playlist.segments[0].init.keys


def test_media_is_not_media_sequence() -> None:
    assert isinstance(parse(b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-TARGETDURATION:6\n"), MediaPlaylist)
    master = parse(b'#EXTM3U\n#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=9,URI="i.m3u8"\n#EXT-X-NEW-TAG:whatever\n')
    assert isinstance(master, MasterPlaylist)
    assert master.variants[0].i_frames


def test_what_players_read_over() -> None:
    """27 real playlists have a tab behind EXTINF's comma; players do not mind."""
    playlist = parse((HEAD + "#EXTINF:6,\tno desc\n#\ta comment\na\n").encode())
    assert isinstance(playlist, MediaPlaylist)
    assert playlist.segments[0].uri == "a"


def test_keys_of_several_systems_cover_a_segment_until_their_own_is_replaced() -> None:
    system = '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="{}",KEYFORMAT="{}"\n'
    apple, other = "com.apple.streamingkeydelivery", "urn:uuid:edef8ba9"
    text = HEAD + system.format("skd://1", apple) + system.format("data:1", other) + "#EXTINF:6,\na\n"
    text += system.format("skd://2", apple) + "#EXTINF:6,\nb\n#EXT-X-KEY:METHOD=NONE\n#EXTINF:6,\nc\n"
    playlist = parse(text.encode())
    assert isinstance(playlist, MediaPlaylist)
    assert [[key.uri for key in entry.keys] for entry in playlist.segments] == [["skd://1", "data:1"], ["skd://2", "data:1"], []]


def test_byte_ranges_continue() -> None:
    text = HEAD + "".join(f"#EXTINF:6,\n#EXT-X-BYTERANGE:{part}\n{uri}\n" for part, uri in (("9@1", "a"), ("5", "a"), ("7@0", "b")))
    playlist = parse(text.encode())
    assert isinstance(playlist, MediaPlaylist)
    ranges = [entry.byte_range for entry in playlist.segments if entry.byte_range]
    assert [(part.offset, part.length) for part in ranges] == [(1, 9), (10, 5), (0, 7)]


def test_a_gap_is_one_segment_and_a_range_continues_in_its_own_file() -> None:
    found = parse((HEAD + "#EXT-X-GAP\n#EXTINF:6,\na\n#EXTINF:6,\nb\n").encode())
    assert isinstance(found, MediaPlaylist)
    assert [entry.gap for entry in found.segments] == [True, False]
    with pytest.raises(PlaylistError, match="has no offset"):
        parse((HEAD + "#EXT-X-BYTERANGE:5@0\n#EXTINF:6,\na\n#EXT-X-BYTERANGE:5\n#EXTINF:6,\nb\n").encode())


@pytest.mark.parametrize("number", ["1" * 6000, "1" * 30, "٣", "-1", "1.0"], ids=["6000-digits", "30-digits", "arabic", "minus", "decimal"])
def test_what_is_no_whole_number(number: str) -> None:
    with pytest.raises(PlaylistError, match="is not a whole number"):
        parse(f"#EXTM3U\n#EXT-X-TARGETDURATION:{number}\n#EXTINF:6,\na\n".encode())


def test_every_key_of_a_segment_is_in_the_report(tmp_path: Path) -> None:
    system = '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://x",KEYFORMAT="com.apple.streamingkeydelivery"\n'
    (tmp_path / "p.m3u8").write_text(HEAD + '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="data:,x"\n' + system + "#EXTINF:6,\na\n")
    (tmp_path / "a").write_bytes(b"a")
    (playlist,) = inspect(str(tmp_path / "p.m3u8")).playlists
    assert [(key.keyformat, key.segments) for key in playlist.keys] == [("identity", 1), ("com.apple.streamingkeydelivery", 1)]


def test_rates_are_of_the_ranges_and_of_the_heaviest_member(tmp_path: Path) -> None:
    member = '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="{0}",URI="{0}.m3u8"\n'
    variant = '#EXT-X-STREAM-INF:BANDWIDTH=1000,AUDIO="a"\nv.m3u8\n'
    (tmp_path / "master.m3u8").write_text("#EXTM3U\n" + member.format("light") + member.format("heavy") + variant)
    (tmp_path / "v.m3u8").write_text(HEAD + "".join(f"#EXT-X-BYTERANGE:750@{750 * n}\n#EXTINF:6,\nall\n" for n in range(4)))
    (tmp_path / "all").write_bytes(bytes(3000))
    for name, size in (("light", 75), ("heavy", 150)):
        (tmp_path / f"{name}.m3u8").write_text(HEAD + f"#EXTINF:6,\n{name}\n")
        (tmp_path / name).write_bytes(bytes(size))
    found = inspect(str(tmp_path))
    assert found.playlists[0].bytes == 3000
    assert found.variants[0].measured == Bitrate(peak=1200, average=1200)


def test_playlists_of_i_frames_are_listed_as_such(tmp_path: Path) -> None:
    (tmp_path / "master.m3u8").write_text(
        '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000\ni.m3u8\n#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=9,URI="v.m3u8"\n'
    )
    (tmp_path / "v.m3u8").write_text(HEAD + "#EXTINF:6,\nall\n")
    (tmp_path / "i.m3u8").write_text(HEAD + "#EXT-X-I-FRAMES-ONLY\n#EXTINF:6,\nall\n")
    (tmp_path / "all").write_bytes(bytes(750))
    assert inspect(str(tmp_path)).problems == (
        "i.m3u8: it has EXT-X-I-FRAMES-ONLY, and is listed as variant",
        "v.m3u8: it has no EXT-X-I-FRAMES-ONLY, and is listed as i-frames",
    )


def test_variables(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    (tmp_path / "master.m3u8").write_text(
        '#EXTM3U\n#EXT-X-DEFINE:NAME="where",VALUE="v"\n#EXT-X-DEFINE:NAME="none",VALUE=""\n'
        "#EXT-X-STREAM-INF:BANDWIDTH=1000\n{$where}{$none}/p.m3u8?token=seg\n"
    )
    (tmp_path / "v" / "p.m3u8").write_text(
        HEAD + '#EXT-X-DEFINE:IMPORT="where"\n#EXT-X-DEFINE:QUERYPARAM="token"\n#EXTINF:6,{$title}\n../{$where}/{$token}.m4s\n'
    )
    (tmp_path / "v" / "seg.m4s").write_bytes(bytes(750))
    found = inspect(str(tmp_path))
    assert (found.problems, [variant.measured and variant.measured.peak for variant in found.variants]) == ((), [1000])


def test_every_object_is_looked_for(tmp_path: Path) -> None:
    """A missing init section or key, a directory instead of a segment, a range beyond the end: each is a problem."""
    write = (tmp_path / "p.m3u8").write_text
    (tmp_path / "a").write_bytes(bytes(10))
    (tmp_path / "folder").mkdir()
    for text, expected in (
        ('#EXT-X-MAP:URI="i"\n#EXTINF:6,\na\n', ("line 3: init section i: it cannot be read: No such file or directory",)),
        ('#EXT-X-MAP:URI="a",BYTERANGE="9@2"\n#EXTINF:6,\na\n', ("line 3: init section a: it ends at byte 10, its range at 11",)),
        ('#EXT-X-KEY:METHOD=AES-128,URI="k"\n#EXTINF:6,\na\n', ("line 3: key k: it cannot be read: No such file or directory",)),
        ("#EXTINF:6,\nfolder\n", ("line 4: folder: it is a directory",)),
        ("#EXTINF:6,\n#EXT-X-BYTERANGE:5@8\na\n", ("line 5: a: it ends at byte 10, its range at 13",)),
        ("#EXTINF:6,\n#EXT-X-BYTERANGE:5@0\nb\n", ("line 5: b: it cannot be read: No such file or directory",)),
        ("#EXTINF:6,\nhttp://[x/\n", ("line 4: http://[x/: it is not a valid URL",)),
        ("#EXTINF:6,\n%00\n", ("line 4: %00: it is not the path of a file",)),
        ("#EXTINF:6,\n./a\n#EXTINF:6,\nb/../a\n", ()),
        ('#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://x",KEYFORMAT="com.apple.streamingkeydelivery"\n#EXTINF:6,\na\n', ()),
    ):
        write(HEAD + text)
        assert inspect(str(tmp_path / "p.m3u8")).problems == expected


def test_what_lies_elsewhere_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "p.m3u8").write_text(
        HEAD + '#EXT-X-KEY:METHOD=AES-128,URI="https://keys.example/1"\n#EXTINF:6,\nhttps://u:p@cdn.example/a\n#EXTINF:6,\n//cdn.example/b\n'
    )
    found = inspect(str(tmp_path / "p.m3u8"))
    assert (found.problems, found.playlists[0].measured) == ((), None)
    assert found.notes == (
        "1 of its objects were not checked: it lies at https://keys.example",
        "1 of its objects were not checked: it lies at https://cdn.example",
        "1 of its objects were not checked: it lies at cdn.example",
    )


def test_a_pipe_is_no_playlist_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "v.m3u8")
    (tmp_path / "master.m3u8").write_text("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000\nv.m3u8\n")
    assert inspect(str(tmp_path)).problems == ("v.m3u8: it is not a file",)


def test_an_audio_only_variant_counts_once(tmp_path: Path) -> None:
    (tmp_path / "master.m3u8").write_text(
        '#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="b",URI="a.m3u8"\n#EXT-X-STREAM-INF:BANDWIDTH=1000,AUDIO="a"\na.m3u8\n'
    )
    (tmp_path / "a.m3u8").write_text(HEAD + "#EXTINF:6,\na\n")
    (tmp_path / "a").write_bytes(bytes(750))
    (variant,) = inspect(str(tmp_path)).variants
    assert variant.measured is not None
    assert variant.measured.peak == 1000


def test_a_playlist_in_gzip(tmp_path: Path) -> None:
    text = (HEAD + "#EXTINF:6,\na\n").encode()
    (tmp_path / "a").write_bytes(bytes(10))
    (tmp_path / "p.m3u8").write_bytes(gzip.compress(text))
    assert inspect(str(tmp_path / "p.m3u8")).problems == ()
    (tmp_path / "p.m3u8").write_bytes(gzip.compress(text)[:20] + b"\xff" * 20)
    with pytest.raises(UsageError, match="gzip is broken"):
        inspect(str(tmp_path / "p.m3u8"))
    (tmp_path / "p.m3u8").write_bytes(gzip.compress(bytes(MOST_PLAYLIST_BYTES + 1)))
    with pytest.raises(UsageError, match="too large"):
        inspect(str(tmp_path / "p.m3u8"))


# --- web servers ------------------------------------------------------------------------------------------------------


@contextmanager
def answering(answers: dict[str, tuple[int, dict[str, str], bytes]]) -> Iterator[str]:
    """A web server with these paths: status, headers, body."""

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = answers.get(self.path, (404, {}, b""))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as web:
        thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{web.server_port}"
        web.shutdown()
        thread.join()


def page(text: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    return 200, {name.replace("_", "-"): value for name, value in headers.items()}, text.encode()


TEN = HEAD + "".join(f"#EXTINF:6,\n{number}.m4s\n" for number in range(10))


def test_a_web_server_that_sends_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "MOST_PLAYLIST_BYTES", 1000)
    with answering({"/p.m3u8": page(TEN + "#" * 1000)}) as url, pytest.raises(UsageError, match="too large"):
        inspect(f"{url}/p.m3u8")


def test_a_web_server_without_the_segments() -> None:
    with answering({"/p.m3u8": page(TEN)}) as url:
        found = inspect(f"{url}/p.m3u8")
    assert found.problems == ("line 4: 0.m4s: the server answers 404 Not Found (4 more like this)",)
    assert found.notes == ("5 of its segments were not requested",)


def test_what_a_redirected_playlist_names_lies_beside_the_new_address() -> None:
    answers = {
        "/m.m3u8": page("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000\nv.m3u8?token=seg\n"),
        "/v.m3u8?token=seg": (302, {"Location": "/deep/v.m3u8?token=seg"}, b""),
        "/deep/v.m3u8?token=seg": page(HEAD + '#EXT-X-DEFINE:QUERYPARAM="token"\n#EXTINF:6,\n{$token}.m4s\n'),
        "/deep/seg.m4s": page("x" * 750),
    }
    with answering(answers) as url:
        found = inspect(f"{url}/m.m3u8")
    assert (found.problems, found.notes) == ((), ())
    assert found.variants[0].measured is not None
    assert found.variants[0].measured.peak == 1000


def test_a_body_in_gzip_and_one_that_is_cut_off() -> None:
    packed = gzip.compress((HEAD + "#EXTINF:6,\na\n").encode())
    answers = {
        "/gzip.m3u8": (200, {"Content-Encoding": "gzip"}, packed),
        "/a": page("a"),
        "/cut.m3u8": (200, {"Content-Length": "5000"}, b"#EXTM3U\n"),
    }
    with answering(answers) as url:
        assert inspect(f"{url}/gzip.m3u8").problems == ()
        with pytest.raises(UsageError, match="expected 5000"):
            inspect(f"{url}/cut.m3u8")


def test_the_query_of_the_opened_address_is_a_variable() -> None:
    text = HEAD + '#EXT-X-DEFINE:QUERYPARAM="token"\n#EXTINF:6,\n{$token}.m4s\n'
    with answering({"/p.m3u8?token=seg": page(text), "/seg.m4s": page("x")}) as url:
        assert inspect(f"{url}/p.m3u8?token=seg").problems == ()


@pytest.mark.parametrize(("status", "words"), [(401, "401 Unauthorized"), (403, "403 Forbidden")])
def test_a_server_that_guards_its_keys_and_one_without_head(status: int, words: str) -> None:
    text = HEAD + '#EXT-X-KEY:METHOD=AES-128,URI="key"\n#EXTINF:6,\na\n'
    with answering({"/p.m3u8": page(text), "/key": (status, {}, b""), "/a": (405, {}, b"")}) as url:
        found = inspect(f"{url}/p.m3u8")
    assert (found.problems, found.notes) == ((), (f"line 3: key key: the server answers {words}",))


def test_a_playlist_of_the_web_leads_to_no_file_and_to_no_nonsense() -> None:
    uris = ("file:///etc/passwd", "http://[x/", "data:,x")
    answers = {"/m.m3u8": page("#EXTM3U\n" + "".join(f"#EXT-X-STREAM-INF:BANDWIDTH=1000\n{uri}\n" for uri in uris))}
    with answering(answers) as url:
        found = inspect(f"{url}/m.m3u8")
    assert found.problems == ("http://[x/: it is not a valid URL",)
    assert found.notes == (
        "file:///etc/passwd: it lies at file:, and was not checked",
        "data:,x: it lies at data:, and was not checked",
    )


def test_a_public_playlist_leads_to_no_private_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """127.0.0.1 plays the public server."""
    monkeypatch.setattr("vidpipe.web._is_private", lambda address: str(address) != "127.0.0.1")
    with socket.create_server(("127.0.0.2", 0)) as inside:
        port = inside.getsockname()[1]
        text = f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000\nhttp://127.0.0.2:{port}/v.m3u8\n"
        with answering({"/m.m3u8": page(text)}) as url:
            found = inspect(f"{url}/m.m3u8")
    refused = "it cannot be read: it redirects to another server, which has a private address"
    assert found.problems == (f"http://127.0.0.2:{port}/v.m3u8: {refused}",)


def test_a_web_server_is_not_asked_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer may be slow; all of them together may not."""
    monkeypatch.setattr(place, "HTTP_SECONDS_IN_ALL", 0.2)
    with (
        sending(b"HTTP/1.1 200 OK\r\n\r\n#EXTM3U\n", *[b"#\n"] * 50, pause=0.05) as url,
        pytest.raises(UsageError, match="which is the limit"),
    ):
        inspect(url)
