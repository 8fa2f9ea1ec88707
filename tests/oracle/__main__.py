"""The command: ``python -m tests.oracle FILE|FOLDER…``; one line a file, exit code 1 if a title differs or vidpipe crashes."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.oracle.verdict import Options, Verdict, verdict_on

MEDIA = frozenset(
    f".{end}"
    for line in (
        "3g2 3gp amv asf avi dif divx dv f4v flv gxf h264 h265 hevc ivf m1v m2p m2t m2ts m2v m4v mj2 mjpeg mjpg mkv mov mp4",
        "mpeg mpg mpv mts mxf nut nuv obu ogg ogm ogv ogx qt rm rmvb roq swf tod trp ts vob vp8 vp9 vro webm wmv wtv y4m",
    )
    for end in line.split()
)
"""Ends of the names of files that may be video."""


def media_files(places: list[Path]) -> Iterator[Path]:
    """Yield files as named, and media files below folders."""
    for place in places:
        if place.is_dir():
            yield from sorted(path for path in place.rglob("*") if path.is_file() and path.suffix.lower() in MEDIA)
        else:
            yield place


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.oracle", description="Compare published titles with what ffmpeg shows.")
    parser.add_argument("places", nargs="*", type=Path, metavar="FILE|FOLDER", help="media files, or folders that hold some")
    parser.add_argument("--traps", nargs="*", metavar="NAME", help="check generated traps too: all, or those whose names contain NAME")
    parser.add_argument("--json", action="store_true", help="print one JSON object a file")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep what was made (and the traps) in FOLDER")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="files in parallel (default: 1)")
    parser.add_argument("--ladder", metavar="NAME|FILE", help="another ladder than one quick rung")
    parser.add_argument("--seconds", type=float, default=60.0, metavar="S", help="how much of each file is compared (default: 60; 0: all)")
    parser.add_argument("--must-accept", action="store_true", help="a refusal counts as a fault")
    wanted = parser.parse_args(arguments)
    if not wanted.places and wanted.traps is None:
        parser.error("nothing to check: name files, folders, or --traps")
    missing = [str(place) for place in wanted.places if not place.exists()]
    if missing:
        parser.error(f"does not exist: {', '.join(missing)}")
    options = Options(ladder=wanted.ladder, seconds=wanted.seconds or None, keep=wanted.keep)
    words: Counter[str] = Counter()
    with ThreadPoolExecutor(max(1, wanted.jobs)) as pool:
        for verdict in pool.map(lambda path: verdict_on(path, options), media_files(wanted.places)):
            _print(verdict, as_json=wanted.json)
            words[verdict.word] += 1
        if wanted.traps is not None:
            from tests.oracle.traps import check, chosen

            for verdict in pool.map(lambda trap: check(trap, options), chosen(wanted.traps)):
                _print(verdict, as_json=wanted.json)
                words[verdict.word] += 1
    print(", ".join(f"{count} {word}" for word, count in sorted(words.items())), file=sys.stderr)
    faults = words["differs"] + words["crash"] + (words["refused"] if wanted.must_accept else 0)
    return 1 if faults else 0


def _print(verdict: Verdict, *, as_json: bool) -> None:
    print(json.dumps(verdict.as_dict()) if as_json else f"{verdict.file}: {verdict.sentence}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
