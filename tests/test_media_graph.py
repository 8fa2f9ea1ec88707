"""Commands are written by ffmpeg-python; what it has no words for is added to its text."""

from __future__ import annotations

from vidpipe.media.graph import Input, Loopback, arguments

SOURCE = {"filename": "file:a.mkv", "format": "matroska"}
ARGV = ["-f", "matroska", "-i", "file:a.mkv"]


def test_outputs_come_in_the_order_in_which_they_are_given() -> None:
    source = Input(**SOURCE)
    made = [source.stream(index).output(f"file:{index}.mp4", format="mp4") for index in (0, 1)]
    assert arguments(made) == [*ARGV, *("-map", "0:0", "-f", "mp4", "file:0.mp4"), *("-map", "0:1", "-f", "mp4", "file:1.mp4")]


def test_filters_in_text_stand_in_the_graph_as_they_are() -> None:
    text = r"ebur128=peak=true,ametadata=mode=print:file=it\'s [é];.txt"
    one, other = Input(**SOURCE).stream(1).split(2, "asplit")
    argv = arguments([one.filters(text).output("-", format="null"), other.filter("volume", volume=2).output("file:a.mp4")])
    graph = argv[argv.index("-filter_complex") + 1]
    assert graph.count(f"]{text}[") == 1
    assert "[s1]volume=volume=2" in graph


def test_no_filters_in_text_leave_the_graph_empty_there() -> None:
    assert arguments([Input(**SOURCE).stream(0).filters("").output("-")])[-5:] == ["-filter_complex", "[0:0][s0]", "-map", "[s0]", "-"]


def test_a_stream_that_is_split_once_is_not_split() -> None:
    stream = Input(**SOURCE).stream(0)
    assert stream.split(1) == [stream]


def test_a_loopback_decoder_takes_the_place_of_its_stream() -> None:
    source = Input(**SOURCE)
    outputs = [source.stream(index).filter("anull").output(f"file:{index}.mp4") for index in (1, 2)]
    argv = arguments(outputs, [Loopback(2, ["-map", "0:2", "-f", "null", "-", "-dec", "0:0"])])
    place = argv.index("-filter_complex")
    assert argv[:place] == [*ARGV, "-map", "0:2", "-f", "null", "-", "-dec", "0:0"]
    assert "[0:1]anull" in argv[place + 1]
    assert "[dec:0]anull" in argv[place + 1]
    assert "[0:2]" not in argv[place + 1]
