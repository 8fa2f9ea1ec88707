"""An encoder is one module: ladder, plan, command, estimates, checks and ffmpeg's needs all read it, and know no other table."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from tests import toy_encoder
from tests.encode_support import chunks_of, clip, rung, tiny_plan
from tests.test_plan import LADDER, planned, source
from tests.test_plan import rung as wish
from vidpipe import encoders
from vidpipe.doctor import _ffmpeg
from vidpipe.encode.artifact_keys import Keys
from vidpipe.encode.command import chunk_command
from vidpipe.encode.parallelism import memory_of
from vidpipe.encode.process_limits import THREAD_BYTES, chunk_limits
from vidpipe.encode.scheduler import encode, needs
from vidpipe.encode.tasks.remarks import DAMAGED, note_damage
from vidpipe.encoders import BIT_DEPTHS, Encoder, codec_meant, codecs, encoder_of
from vidpipe.errors import UsageError
from vidpipe.ladder import Ladder, load
from vidpipe.media.ffmpeg import FFmpeg
from vidpipe.media.process import Completed
from vidpipe.mp4.boxes import read_movie
from vidpipe.mp4.codecs import video
from vidpipe.settings import Settings
from vidpipe.work.artifacts import Store

LADDER_FILE = """\
name: toys
description: One rung of an encoder that vidpipe does not know.
rungs:
  - name: low
    codec: {codec}
    height: 90
    bitrate: 200k
    max_bitrate: 300k
    buffer: 400k
    preset: {preset}
    {more}
"""


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Encoder:
    monkeypatch.setattr(encoders, "_ENCODERS", (*encoders.encoders(), toy_encoder.ENCODER))
    return toy_encoder.ENCODER


def ladder_file(folder: Path, codec: str = "toy", preset: str = "cabac", more: str = "profile: high") -> Ladder:
    path = folder / "toys.yaml"
    path.write_text(LADDER_FILE.format(codec=codec, preset=preset, more=more))
    return load(str(path))


def test_nobody_else_knows_it(tmp_path: Path) -> None:
    assert codecs() == ("h264", "hevc", "av1")
    with pytest.raises(UsageError):
        ladder_file(tmp_path)
    with pytest.raises(ValueError, match="no encoder makes 'toy'"):
        rung(codec="toy")


def test_a_ladder_can_ask_for_it(toy: Encoder, tmp_path: Path) -> None:
    (low,) = ladder_file(tmp_path).rungs
    assert (low.codec, low.preset, low.profile) == ("toy", "cabac", "high")
    for wrong, fix in {
        "codec=openh264": "did you mean toy? (codec is one of: h264, hevc, av1, toy)",
        "preset=medium": "use one of: cavlc, cabac",
        "more=profile: main10": "did you mean main?",
        "more=crf: 23": "crf must be a number from 0 to 0",
    }.items():
        key, _, value = wrong.partition("=")
        with pytest.raises(UsageError) as refused:
            ladder_file(tmp_path, **{key: value})
        assert refused.value.fix is not None
        assert refused.value.fix.startswith(fix), wrong


def test_a_plan_knows_where_it_plays(toy: Encoder) -> None:
    def warnings_of(codec: str) -> list[str]:
        ladder = LADDER.model_copy(update={"rungs": tuple(wish(height, codec=codec) for height in (240, 360))})
        return [text for text in planned(source(), ladder).warnings if " rung: browsers" in text]

    assert not warnings_of("toy")
    (warning,) = warnings_of("hevc")
    assert warning.startswith("no H.264 or Toy rung: browsers and devices that cannot decode HEVC,")
    small = LADDER.model_copy(update={"rungs": (wish(360, codec="hevc"), wish(480, codec="toy"), wish(720, codec="av1"))})
    assert [made.make.codec for made in planned(source(160, 120), small).video] == ["toy"], "the only one plays everywhere"


def test_the_grid_is_that_of_the_slowest_decoder(toy: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    before = planned(source()).grid
    slow = {name: getattr(toy, name) for name in toy.__dataclass_fields__} | {"reordering": 200}
    monkeypatch.setattr(encoders, "_ENCODERS", (*encoders.encoders(), Encoder(**slow)))
    assert planned(source()).grid.segment_frames > before.segment_frames


def test_it_encodes_and_is_what_was_planned(toy: Encoder, tmp_path: Path, program: FFmpeg) -> None:
    plan = tiny_plan(clip(tmp_path / "source.mp4", "24", 96), rung("a", codec="toy", preset="cavlc"), rung("b", 96))
    assert toy.name in needs(plan)[0]
    chunks = chunks_of(list(encode(plan, Store(tmp_path / "work"), ffmpeg=program, workers=1, threads=1)))
    assert [done.video["a"].samples for done in chunks] == [48, 48]
    coded = [read_movie(done.video["a"].path) for done in chunks]
    assert [video(movie.tracks[0].entry).codecs[:7] for movie in coded] == ["avc1.4D"] * 2, "Main, as its module says"
    assert coded[0].init == coded[1].init


def test_it_needs_what_its_module_says(toy: Encoder, tmp_path: Path) -> None:
    path = clip(tmp_path / "source.mp4", "24", 24)
    plans = [tiny_plan(path, rung("a", 96, codec=codec, preset=preset)) for codec, preset in (("h264", "fast"), ("toy", "cavlc"))]
    pixels = plans[0].video[0].width * plans[0].video[0].height
    h264, other = (memory_of(plan.video, (160, 96)) for plan in plans)
    assert h264 - other == (200 - 70) * pixels
    wanted: Any = {"threads": 1, "pictures": False, "posters": (), "quality": None}
    limits = [chunk_limits(chunk_command(plan, plan.chunks[0], renditions=plan.video, **wanted)) for plan in plans]
    assert (limits[1].memory_bytes or 0) - (limits[0].memory_bytes or 0) == 5 * THREAD_BYTES - 4 * (200 - 70) * pixels


def test_its_options_are_in_its_keys(toy: Encoder, tmp_path: Path, program: FFmpeg) -> None:
    path = clip(tmp_path / "source.mp4", "24", 24)
    keys = []
    for preset in toy.presets:
        plan = tiny_plan(path, rung("a", codec="toy", preset=preset))
        keys.append(Keys(plan, threads=1, version=program.version, quality=None).video(plan.video[0], plan.chunks[0]))
    assert len({*keys}) == 2


@pytest.mark.parametrize(
    ("line", "damaged"),
    [
        ("[h264 @ 0x5] [error] left block unavailable", True),
        ("[libopenh264 @ 0x5] [error] out of memory", False),
        ("[libsvtav1 @ 0x5] [error] failed", False),
        ("[libx265 @ 0x5] [error] failed", False),
        ("toy: [error] failed", False),
        ("x265 [error]: failed", False),
        ("Svt[error]: failed", False),
        ("[vost#0:0/libx264 @ 0x5] [error] failed", False),
        ("[Parsed_scale_5 @ 0x5] [error] failed", False),
    ],
)
def test_what_an_encoder_says_is_no_damage_of_the_source(line: str, damaged: bool, toy: Encoder, tmp_path: Path) -> None:
    file = tmp_path / "measured.txt"
    file.write_text("frame:0\n")
    note_damage(Completed(argv=("ffmpeg",), returncode=0, stdout=b"", stderr_tail=f"{line}\n", seconds=0.0), file)
    assert (DAMAGED in file.read_text()) is damaged


def test_the_doctor_looks_for_every_encoder(toy: Encoder, monkeypatch: pytest.MonkeyPatch, program: FFmpeg) -> None:
    def looked(*missing: str) -> Any:
        present = FFmpeg(program.path, program.version, encoders=program.encoders - {*missing})
        monkeypatch.setattr("vidpipe.doctor.find", lambda setting: present)
        return _ffmpeg(Settings())

    assert looked().state == "ok"
    lacking = looked("libopenh264", "libsvtav1")
    assert lacking.state == "warning"
    assert lacking.detail.endswith("; without libsvtav1, libopenh264")
    assert lacking.fix == "ladders with av1 or toy need another ffmpeg"
    with pytest.raises(UsageError, match="lacks encoder libx265"):
        looked("libx265")


def test_names_are_unambiguous() -> None:
    known = encoders.encoders()
    assert len({encoder.name for encoder in known}) == len(known) == len({*codecs()})
    aliases = [alias for encoder in known for alias in encoder.aliases]
    assert len({*aliases, *codecs()}) == len(aliases) + len(known)
    assert all(encoder_of(encoder.codec) is encoder for encoder in known)
    assert (codec_meant("X265"), codec_meant("libsvtav1"), codec_meant("vp9")) == ("hevc", "av1", None)


@pytest.mark.parametrize(
    ("codec", "profile"), [(encoder.codec, profile) for encoder in encoders.encoders() for profile in (None, *encoder.profiles)]
)
def test_profiles_give_the_pixels_that_they_promise(codec: str, profile: str | None, tmp_path: Path, program: FFmpeg) -> None:
    encoder = encoder_of(codec)
    fastest = "ultrafast" if "ultrafast" in encoder.presets else encoder.presets[-1]
    plan = tiny_plan(clip(tmp_path / "source.mp4", "24", 24), rung("a", codec=codec, preset=fastest, profile=profile))
    (done,) = chunks_of(list(encode(plan, Store(tmp_path / "work"), ffmpeg=program, workers=1, threads=1)))
    assert video(read_movie(done.video["a"].path).tracks[0].entry).bit_depth == BIT_DEPTHS[encoder.pixel_format(profile)]


def test_there_is_no_second_table_of_encoders() -> None:
    """source/ names what it reads, mp4/ sample entries; no other module may name what it makes."""
    root = Path(encoders.__file__).parents[1]
    words = {word for encoder in encoders.encoders() for word in (encoder.codec, encoder.name, encoder.title)}
    named = re.compile("|".join(rf"\b{re.escape(word)}\b" for word in sorted(words)))
    found = set()
    for path in root.rglob("*.py"):
        if path.relative_to(root).parts[0] in ("encoders", "source", "mp4"):
            continue
        tree = ast.parse(path.read_text())
        prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        texts = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
        found |= {f"{path.relative_to(root)}:{node.lineno}" for node in texts if id(node) not in prose and named.search(node.value)}
    assert not found
