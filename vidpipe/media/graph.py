"""Build ffmpeg commands and filter graphs. The only user of ffmpeg-python, which writes argv here and never runs anything.

In:   inputs, filters and outputs, with ffmpeg's own names and options.
Out:  argv (without the program and its global options), outputs in the order in which they are given.
Wrong: nothing here can fail; a name that ffmpeg does not know is refused by ffmpeg.

Two things ffmpeg-python has no words for, and they are added to the text that it has written: filters that come as text, which it would
escape, and loopback decoders.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import ffmpeg

_TEXT = re.compile("text_([0-9a-f]*)_")  # stands for filters that come as text; no filter is called so


class Output(NamedTuple):
    """An output of a command."""

    node: Any


class Loopback(NamedTuple):
    """A decoder of what this same ffmpeg has just encoded: its n-th one takes the place of a stream in the graph."""

    stream: int
    argv: Sequence[str]


class Stream:
    """A stream between two filters."""

    def __init__(self, node: Any) -> None:
        self._node = node

    def filter(self, name: str, **options: object) -> Stream:
        """Return the stream after a filter."""
        return Stream(self._node.filter(name, **options))

    def filters(self, text: str) -> Stream:
        """Return the stream after a chain of filters that is written as ffmpeg reads it."""
        return Stream(self._node.filter(f"text_{text.encode().hex()}_"))

    def split(self, count: int, name: str = "split") -> list[Stream]:
        """Return the stream several times. name: split, or asplit for audio."""
        if count == 1:
            return [self]
        parts = self._node.filter_multi_output(name)
        return [Stream(parts[number]) for number in range(count)]

    def output(self, name: str, **options: object) -> Output:
        """Return an output of this stream. name: file:PATH, pipe:1, or - for the muxer null."""
        return Output(ffmpeg.output(self._node, name, **options))


class Input:
    """An input of a command. options: filename, format, and all others that stand before -i."""

    def __init__(self, **options: object) -> None:
        self._node = ffmpeg.input(**options)

    def stream(self, index: int | None = None) -> Stream:
        """Return one of its streams; None: the one that ffmpeg picks."""
        return Stream(self._node if index is None else self._node[str(index)])


def arguments(outputs: Sequence[Output], loopbacks: Sequence[Loopback] = ()) -> list[str]:
    """Return the command that makes the outputs. loopbacks: for a command with a filter graph only."""
    # get_args writes outputs last to first; turned round, the first one comes first, whose frames -progress counts.
    argv: list[str] = ffmpeg.get_args([output.node for output in outputs][::-1])
    if "-filter_complex" not in argv:
        return argv
    place = argv.index("-filter_complex")
    graph = _TEXT.sub(lambda chain: bytes.fromhex(chain[1]).decode(), argv[place + 1])
    for number, loopback in enumerate(loopbacks):
        graph = graph.replace(f"[0:{loopback.stream}]", f"[dec:{number}]")
    front = [argument for loopback in loopbacks for argument in loopback.argv]
    return [*argv[:place], *front, "-filter_complex", graph, *argv[place + 2 :]]
