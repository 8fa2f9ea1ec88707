"""Read playlists line by line, strictly, with line numbers; independent of the package that writes them.

In:   the bytes of a playlist; what EXT-X-DEFINE may take from elsewhere: the variables of the master playlist, the query of the address.
Out:  MasterPlaylist or MediaPlaylist, whose parts know the line they stand on. Variables are replaced by their values.
Wrong: PlaylistError with the line, for everything a player could misread: bad encoding, a missing first line, an attribute list that does
       not tokenise, an attribute twice, a number in the wrong form, a segment without duration, both kinds of playlist in one file, a
       variable that nobody defines.

Unknown tags and attributes are skipped, as the draft demands (draft-pantos-hls-rfc8216bis 6.3.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from urllib.parse import parse_qs

from vidpipe.data import Data, Seconds

_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^",\s]+)(?:,|$)')
# Digits are limited: 64 bits are 20, and Python refuses to read numbers of more than 4,300.
_INTEGER = re.compile(r"[0-9]{1,20}")
_DECIMAL = re.compile(r"[0-9]{1,20}(?:\.[0-9]{0,40})?|\.[0-9]{1,40}")
_RESOLUTION = re.compile(r"([1-9][0-9]{0,9})x([1-9][0-9]{0,9})")
_BYTE_RANGE = re.compile(r"([0-9]{1,20})(?:@([0-9]{1,20}))?")
_IV = re.compile(r"0[xX][0-9A-Fa-f]{1,32}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_VARIABLE = re.compile(r"\{\$([A-Za-z0-9_-]+)\}")
_QUOTED = frozenset({
    "URI", "CODECS", "SUPPLEMENTAL-CODECS", "GROUP-ID", "LANGUAGE", "ASSOC-LANGUAGE", "NAME", "CHANNELS", "AUDIO", "VIDEO",
    "SUBTITLES", "CHARACTERISTICS", "KEYFORMAT", "KEYFORMATVERSIONS", "BYTERANGE", "INSTREAM-ID", "VALUE", "IMPORT", "QUERYPARAM",
})  # fmt: skip
_MASTER = frozenset({
    "#EXT-X-MEDIA", "#EXT-X-STREAM-INF", "#EXT-X-I-FRAME-STREAM-INF", "#EXT-X-SESSION-DATA", "#EXT-X-SESSION-KEY",
    "#EXT-X-CONTENT-STEERING",
})  # fmt: skip
_ONCE = frozenset({
    "#EXT-X-VERSION", "#EXT-X-INDEPENDENT-SEGMENTS", "#EXT-X-TARGETDURATION", "#EXT-X-MEDIA-SEQUENCE",
    "#EXT-X-DISCONTINUITY-SEQUENCE", "#EXT-X-ENDLIST", "#EXT-X-PLAYLIST-TYPE", "#EXT-X-I-FRAMES-ONLY",
})  # fmt: skip
_MEDIA = frozenset({
    "#EXTINF", "#EXT-X-TARGETDURATION", "#EXT-X-MEDIA-SEQUENCE", "#EXT-X-DISCONTINUITY-SEQUENCE", "#EXT-X-ENDLIST",
    "#EXT-X-PLAYLIST-TYPE", "#EXT-X-I-FRAMES-ONLY", "#EXT-X-KEY", "#EXT-X-MAP", "#EXT-X-BYTERANGE", "#EXT-X-DISCONTINUITY",
    "#EXT-X-PROGRAM-DATE-TIME", "#EXT-X-GAP",
})  # fmt: skip


class PlaylistError(ValueError):
    """A playlist cannot be read. line: 1-based."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(f"line {line}: {what}")
        self.line = line
        self.what = what


@dataclass(frozen=True, slots=True)
class Line:
    """A tag with its value, or a URI (tag is ""). number: 1-based."""

    number: int
    tag: str
    value: str


class Variant(Data):
    """EXT-X-STREAM-INF, or EXT-X-I-FRAME-STREAM-INF (i_frames). Rates in bits a second; codecs as listed."""

    line: int
    uri: str
    bandwidth: int
    average_bandwidth: int | None = None
    codecs: tuple[str, ...] = ()
    width: int | None = None
    height: int | None = None
    frame_rate: str | None = None
    video_range: str | None = None
    audio: str | None = None
    subtitles: str | None = None
    closed_captions: str | None = None
    score: Fraction | None = None
    hdcp_level: str | None = None
    i_frames: bool = False


class Rendition(Data):
    """EXT-X-MEDIA."""

    line: int
    type: str
    group: str
    name: str
    language: str | None = None
    default: bool = False
    autoselect: bool = False
    forced: bool = False
    channels: str | None = None
    characteristics: str | None = None
    uri: str | None = None


class ByteRange(Data):
    """A part of a resource. length: bytes.  offset: of its first byte."""

    length: int
    offset: int


class Key(Data):
    """EXT-X-KEY or EXT-X-SESSION-KEY. iv: 32 upper-case hex digits, None when the sequence number is the IV, or the media has it."""

    line: int
    method: str
    uri: str | None = None
    iv: str | None = None
    keyformat: str = "identity"


class Map(Data):
    """EXT-X-MAP. keys: in effect where it stands; the init section itself is encrypted with those that encrypt whole resources."""

    line: int
    uri: str
    byte_range: ByteRange | None = None
    keys: tuple[Key, ...] = ()


class Entry(Data):
    """A media segment. duration: seconds, exactly as EXTINF states them.  init: in effect for it.

    keys: in effect for it, one for each KEYFORMAT; a player needs only one of them.
    """

    line: int
    uri: str
    duration: Seconds
    init: Map | None = None
    keys: tuple[Key, ...] = ()
    byte_range: ByteRange | None = None
    discontinuity: bool = False
    gap: bool = False


class MasterPlaylist(Data):
    """A multivariant playlist. version: None when the tag is absent (then it is 1).

    variables: of EXT-X-DEFINE; media playlists may import them.
    """

    version: int | None
    independent_segments: bool
    variants: tuple[Variant, ...]
    renditions: tuple[Rendition, ...]
    session_keys: tuple[Key, ...] = ()
    variables: dict[str, str] = {}


class MediaPlaylist(Data):
    """A media playlist. target_duration: seconds."""

    version: int | None
    independent_segments: bool
    target_duration: int
    media_sequence: int
    playlist_type: str | None
    end_list: bool
    i_frames_only: bool
    segments: tuple[Entry, ...]


def parse(data: bytes, *, imports: Mapping[str, str] | None = None, query: str = "") -> MasterPlaylist | MediaPlaylist:
    """Read a playlist of either kind. imports: the variables of its master playlist.  query: of the address that it was read from."""
    variables: dict[str, str] = {}
    lines = list(_substituted(read_lines(data), variables, imports or {}, query))
    master = next((line for line in lines if line.tag in _MASTER), None)
    media = next((line for line in lines if line.tag in _MEDIA), None)
    if master and media:
        raise PlaylistError(max(master.number, media.number), f"{master.tag} and {media.tag} cannot appear in one playlist")
    if not master and not media:
        raise PlaylistError(1, "it has neither variants nor segments")
    seen: set[str] = set()
    for line in lines:
        if line.tag in _ONCE and line.tag in seen:
            raise PlaylistError(line.number, f"{line.tag} appears a second time")
        seen.add(line.tag)
    return _master(lines, variables) if master else _media(lines)


def read_lines(data: bytes) -> Iterator[Line]:
    """Yield the tags and URIs of a playlist; comments and blank lines are skipped."""
    if data.startswith(b"\xef\xbb\xbf"):
        raise PlaylistError(1, "it begins with a byte-order mark")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PlaylistError(data[: error.start].count(b"\n") + 1, "it is not UTF-8") from error
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.removesuffix("\r")
        if number == 1:
            if line != "#EXTM3U":
                raise PlaylistError(1, "a playlist begins with #EXTM3U and nothing else on that line")
            continue
        # Players read over a tab in a title or a comment, and real playlists have some there (HLS-SYN-003 forbids it).
        text_only = line.startswith("#EXTINF:") or (line.startswith("#") and not line.startswith("#EXT"))
        if _CONTROL.search(line.replace("\t", " ") if text_only else line):
            raise PlaylistError(number, "it contains a control character")
        if line.startswith("#EXT"):
            tag, _, value = line.partition(":")
            yield Line(number, tag.rstrip(), value)
        elif line and not line.startswith("#"):
            if line != line.strip() or " " in line:
                raise PlaylistError(number, "a URI must not contain spaces")
            yield Line(number, "", line)


def attributes(line: Line) -> dict[str, str]:
    """Return the attribute list of a tag, quoted strings without their quotes (HLS-ATTR-001 to -008)."""
    found: dict[str, str] = {}
    at = 0
    while at < len(line.value):
        match = _ATTRIBUTE.match(line.value, at)
        if match is None:
            raise PlaylistError(line.number, f"the attributes of {line.tag} cannot be read at {line.value[at : at + 20]!r}")
        name, value = match.groups()
        if name in found:
            raise PlaylistError(line.number, f"{name} appears twice in {line.tag}")
        if name in _QUOTED and not value.startswith('"'):
            raise PlaylistError(line.number, f"{name} must be quoted")
        if value == '""' and name != "VALUE":
            raise PlaylistError(line.number, f"{name} is empty")
        found[name] = value.strip('"')
        at = match.end()
    if line.value.endswith(",") or not found:
        raise PlaylistError(line.number, f"the attribute list of {line.tag} is empty or ends with a comma")
    return found


def _substituted(lines: Iterable[Line], variables: dict[str, str], imports: Mapping[str, str], query: str) -> Iterator[Line]:
    """Replace variable references in URIs and attribute lists by what EXT-X-DEFINE said before (rfc8216bis 4.3, HLS-MEDIA-019).

    variables: filled on the way.
    """
    for line in lines:
        if line.tag == "#EXT-X-DEFINE":
            found = attributes(line)
            name, value = _definition(line, found, imports, query)
            if name in variables:
                raise PlaylistError(line.number, f"the variable {name} is defined a second time")
            variables[name] = value
        elif "{$" in line.value and line.tag != "#EXTINF":

            def valued(match: re.Match[str], number: int = line.number) -> str:
                if match[1] not in variables:
                    raise PlaylistError(number, f"nothing before it defines the variable {match[1]}")
                return variables[match[1]]

            yield Line(line.number, line.tag, _VARIABLE.sub(valued, line.value))
        else:
            yield line


def _definition(line: Line, found: dict[str, str], imports: Mapping[str, str], query: str) -> tuple[str, str]:
    """Return name and value of a variable that EXT-X-DEFINE defines in one of its three ways."""
    match found:
        case {"NAME": name, "VALUE": value}:
            return name, value
        case {"NAME": name}:
            return name, ""
        case {"IMPORT": name}:
            if name not in imports:
                raise PlaylistError(line.number, f"the master playlist does not define the variable {name}, which is imported here")
            return name, imports[name]
        case {"QUERYPARAM": name}:
            values = parse_qs(query, keep_blank_values=True).get(name)
            if not values:
                raise PlaylistError(line.number, f"the address of the playlist has no query parameter {name}")
            return name, values[0]
    raise PlaylistError(line.number, "EXT-X-DEFINE has neither NAME, IMPORT nor QUERYPARAM")


def _master(lines: list[Line], variables: dict[str, str]) -> MasterPlaylist:
    variants: list[Variant] = []
    renditions: list[Rendition] = []
    session_keys: list[Key] = []
    version, independent = None, False
    waiting: Line | None = None
    for line in lines:
        if waiting is not None and line.tag:
            raise PlaylistError(waiting.number, "EXT-X-STREAM-INF is not followed by a URI")
        match line.tag:
            case "":
                if waiting is None:
                    raise PlaylistError(line.number, "there is a URI without EXT-X-STREAM-INF")
                variants.append(_variant(waiting, line.value))
                waiting = None
            case "#EXT-X-STREAM-INF":
                waiting = line
            case "#EXT-X-I-FRAME-STREAM-INF":
                variants.append(_variant(line, _required(line, attributes(line), "URI"), i_frames=True))
            case "#EXT-X-MEDIA":
                renditions.append(_rendition(line))
            case "#EXT-X-SESSION-KEY":
                key = key_tag(line)
                if key is None:
                    raise PlaylistError(line.number, "the METHOD of EXT-X-SESSION-KEY must not be NONE")
                session_keys.append(key)
            case "#EXT-X-VERSION":
                version = _integer(line, line.value)
            case "#EXT-X-INDEPENDENT-SEGMENTS":
                independent = True
    if waiting is not None:
        raise PlaylistError(waiting.number, "EXT-X-STREAM-INF is not followed by a URI")
    return MasterPlaylist(
        version=version,
        independent_segments=independent,
        variants=tuple(variants),
        renditions=tuple(renditions),
        session_keys=tuple(session_keys),
        variables=variables,
    )


def _variant(line: Line, uri: str, i_frames: bool = False) -> Variant:
    found = attributes(line)
    width = height = None
    if "RESOLUTION" in found:
        match = _RESOLUTION.fullmatch(found["RESOLUTION"])
        if match is None:
            raise PlaylistError(line.number, f"RESOLUTION={found['RESOLUTION']} is not WIDTHxHEIGHT")
        width, height = int(match[1]), int(match[2])
    if "FRAME-RATE" in found:
        _decimal(line, found["FRAME-RATE"])
    average = found.get("AVERAGE-BANDWIDTH")
    return Variant(
        line=line.number,
        uri=uri,
        bandwidth=_integer(line, _required(line, found, "BANDWIDTH")),
        average_bandwidth=_integer(line, average) if average else None,
        codecs=tuple(found["CODECS"].split(",")) if "CODECS" in found else (),
        width=width,
        height=height,
        frame_rate=found.get("FRAME-RATE"),
        video_range=found.get("VIDEO-RANGE"),
        audio=found.get("AUDIO"),
        subtitles=found.get("SUBTITLES"),
        closed_captions=found.get("CLOSED-CAPTIONS"),
        score=_decimal(line, found["SCORE"]) if "SCORE" in found else None,
        hdcp_level=found.get("HDCP-LEVEL"),
        i_frames=i_frames,
    )


def _rendition(line: Line) -> Rendition:
    found = attributes(line)
    return Rendition(
        line=line.number,
        type=_required(line, found, "TYPE"),
        group=_required(line, found, "GROUP-ID"),
        name=_required(line, found, "NAME"),
        language=found.get("LANGUAGE"),
        default=_yes(line, found, "DEFAULT"),
        autoselect=_yes(line, found, "AUTOSELECT"),
        forced=_yes(line, found, "FORCED"),
        channels=found.get("CHANNELS"),
        characteristics=found.get("CHARACTERISTICS"),
        uri=found.get("URI"),
    )


def _media(lines: list[Line]) -> MediaPlaylist:
    single = {line.tag: line for line in lines}
    target = single.get("#EXT-X-TARGETDURATION")
    if target is None:
        raise PlaylistError(1, "EXT-X-TARGETDURATION is missing")
    version, sequence, kind = (single.get(tag) for tag in ("#EXT-X-VERSION", "#EXT-X-MEDIA-SEQUENCE", "#EXT-X-PLAYLIST-TYPE"))
    return MediaPlaylist(
        version=_integer(version, version.value) if version else None,
        independent_segments="#EXT-X-INDEPENDENT-SEGMENTS" in single,
        target_duration=_integer(target, target.value),
        media_sequence=_integer(sequence, sequence.value) if sequence else 0,
        playlist_type=kind.value if kind else None,
        end_list="#EXT-X-ENDLIST" in single,
        i_frames_only="#EXT-X-I-FRAMES-ONLY" in single,
        segments=tuple(_entries(lines)),
    )


def _entries(lines: list[Line]) -> Iterator[Entry]:
    init: Map | None = None
    keys: dict[str, Key] = {}  # by KEYFORMAT: a new one takes the place of the former of its format only (HLS-KEY-011)
    duration: tuple[Line, Fraction] | None = None
    ranged: Line | None = None
    ended: tuple[str, int] | None = None  # the resource of the last segment, if it was a byte range, and where that ended
    discontinuity = gap = False
    for line in lines:
        match line.tag:
            case "#EXT-X-KEY":
                key = key_tag(line)
                keys = {**keys, key.keyformat: key} if key else {}
            case "#EXT-X-MAP":
                found = attributes(line)
                uri = _required(line, found, "URI")
                part = _byte_range(line, found["BYTERANGE"], 0) if "BYTERANGE" in found else None
                init = Map(line=line.number, uri=uri, byte_range=part, keys=tuple(keys.values()))
            case "#EXTINF":
                if duration is not None:
                    raise PlaylistError(duration[0].number, "EXTINF is not followed by a URI")
                seconds, comma, _ = line.value.partition(",")
                if not comma:
                    raise PlaylistError(line.number, "EXTINF has no comma")
                duration = (line, _decimal(line, seconds))
            case "#EXT-X-BYTERANGE":
                ranged = line
            case "#EXT-X-DISCONTINUITY":
                discontinuity = True
            case "#EXT-X-GAP":
                gap = True
            case "":
                if duration is None:
                    raise PlaylistError(line.number, "there is a segment without EXTINF")
                after = ended[1] if ended and ended[0] == line.value else None
                byte_range = _byte_range(ranged, ranged.value, after) if ranged else None
                ended = (line.value, byte_range.offset + byte_range.length) if byte_range else None
                yield Entry(
                    line=line.number,
                    uri=line.value,
                    duration=duration[1],
                    init=init,
                    keys=tuple(keys.values()),
                    byte_range=byte_range,
                    discontinuity=discontinuity,
                    gap=gap,
                )
                duration, ranged, discontinuity, gap = None, None, False, False
    if duration is not None:
        raise PlaylistError(duration[0].number, "EXTINF is not followed by a URI")


def _byte_range(line: Line, text: str, after: int | None) -> ByteRange:
    """Return a byte range. after: where it begins if it does not say; None if it has to (HLS-BR-001)."""
    match = _BYTE_RANGE.fullmatch(text)
    if match is None:
        raise PlaylistError(line.number, f"{text!r} is not a byte range")
    if match[2] is None and after is None:
        raise PlaylistError(line.number, "the byte range has no offset, and the segment before it is not of the same resource")
    return ByteRange(length=int(match[1]), offset=int(match[2]) if match[2] else after or 0)


def key_tag(line: Line) -> Key | None:
    """Read EXT-X-KEY or EXT-X-SESSION-KEY. None for METHOD=NONE."""
    found = attributes(line)
    method = _required(line, found, "METHOD")
    if method == "NONE":
        return None
    iv = found.get("IV")
    if iv is not None and not _IV.fullmatch(iv):
        raise PlaylistError(line.number, f"IV={iv} is not a hexadecimal number of at most 128 bits")
    return Key(
        line=line.number,
        method=method,
        uri=_required(line, found, "URI"),
        iv=iv[2:].upper().rjust(32, "0") if iv else None,
        keyformat=found.get("KEYFORMAT", "identity"),
    )


def _required(line: Line, found: dict[str, str], name: str) -> str:
    if name not in found:
        raise PlaylistError(line.number, f"{line.tag} has no {name}")
    return found[name]


def _yes(line: Line, found: dict[str, str], name: str) -> bool:
    value = found.get(name, "NO")
    if value not in ("YES", "NO"):
        raise PlaylistError(line.number, f"{name} is YES or NO, not {value}")
    return value == "YES"


def _integer(line: Line, text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise PlaylistError(line.number, f"{text!r} is not a whole number")
    return int(text)


def _decimal(line: Line, text: str) -> Fraction:
    if not _DECIMAL.fullmatch(text):
        raise PlaylistError(line.number, f"{text!r} is not a decimal number")
    return Fraction(text)
