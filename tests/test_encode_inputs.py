"""A title of several inputs, and of tracks that are encoded already: every artifact comes from its own input, and its key says so."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from tests.encode_support import clip, ffmpeg, remux, tiny_plan
from tests.subtitle_support import Words, srt, subtitled
from tests.test_encode_audio import CHAINS, RATE, onsets, pcm
from vidpipe.encode.artifact_keys import Keys
from vidpipe.encode.audio import AAC_FRAME, audio_arguments, audio_command
from vidpipe.encode.result import Encoded, EncodedAudio, EncodedChunk, EncodedSubtitles
from vidpipe.encode.scheduler import encode, needs
from vidpipe.errors import EncodeFailed
from vidpipe.media.ffmpeg import FFmpeg
from vidpipe.mp4.boxes import fragments, read_movie
from vidpipe.package.cut import Cue
from vidpipe.package.cutting import audio_cuts
from vidpipe.package.subtitles import title_cues
from vidpipe.plan import Plan, copied
from vidpipe.source.asset import Asset, StreamRef
from vidpipe.source.probe import probe
from vidpipe.work.artifacts import Sidecar, Store

HELLO = srt(("00:00:00,500", "00:00:01,000", "Hello"))


def asset_of(*paths: Path) -> Asset:
    return Asset(inputs=tuple(probe(str(path)) for path in paths))


def made_of(plan: Plan, store: Store, program: FFmpeg) -> list[Encoded]:
    return list(encode(plan, store, ffmpeg=program, workers=1, threads=1, quality=CHAINS))


def note(store: Store, key: str) -> Sidecar:
    """Return what the store knows of an artifact."""
    return Sidecar.model_validate_json((store.chunks / key[:2] / f"{key}.json").read_bytes())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "work")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("film") / "film.mp4", "25", 75, beeps=2)


def test_each_track_comes_from_its_own_input(film: Path, tmp_path: Path, store: Store, program: FFmpeg) -> None:
    """The dub begins half a second late, in a file whose times begin at 1.4 s; the words lie in a third file."""
    dub = tmp_path / "dub.ts"
    ffmpeg("-i", film, "-itsoffset", "0.5", "-i", film, "-map", "0:v", "-map", "1:a", "-c", "copy", "-metadata:s:a:0", "language=deu", dub)
    words = subtitled(tmp_path / "words.mkv", Words(HELLO, language="eng"), options=("-an",))
    asset = asset_of(film, dub, words)
    assert asset.inputs[1].zero > 1, "the test is worth nothing with the zero of the film"
    plan = tiny_plan(asset, chunk=1000)
    assert [(r.stream, r.id) for r in plan.audio] == [
        (StreamRef(stream=1), "track1"),
        (StreamRef(input=1, stream=asset.inputs[1].audio[0].index), "de"),
    ]
    results = made_of(plan, store, program)
    audio = {done.rendition.id: done for done in results if isinstance(done, EncodedAudio)}
    assert [round(at, 1) for at in onsets(pcm(audio["track1"].artifact.path)[0])] == [0, 1, 2]
    assert [round(at, 1) for at in onsets(pcm(audio["de"].artifact.path)[0])] == [0.5, 1.5, 2.5]
    assert all(done.quality for done in audio.values())
    (text,) = (done for done in results if isinstance(done, EncodedSubtitles))
    assert text.artifact is not None
    start = asset.source(text.rendition.stream).zero
    assert title_cues(text.artifact, start, plan.grid, codec="subrip") == (Cue(Fraction(1, 2), Fraction(1), "Hello"),)
    (chunk,) = (done for done in results if isinstance(done, EncodedChunk))
    of = {"video": chunk.video["90p"], "film": audio["track1"].artifact, "dub": audio["de"].artifact, "words": text.artifact}
    hashes = {name: note(store, artifact.key).source for name, artifact in of.items()}
    film_, dub_, words_ = (source.sha256 for source in asset.inputs)
    assert hashes == {"video": film_, "film": film_, "dub": dub_, "words": words_}
    again = [done.artifact for done in made_of(plan, store, program) if not isinstance(done, EncodedChunk)]
    assert all(artifact and artifact.reused for artifact in again)


def test_a_key_is_of_the_input_alone_that_the_track_comes_from(film: Path, tmp_path: Path) -> None:
    words = subtitled(tmp_path / "words.mkv", Words(HELLO))
    plan = tiny_plan(asset_of(film, words))

    def keys(*changed: int) -> list[str]:
        inputs = [s.model_copy(update={"sha256": f"{n}" * 64}) if n in changed else s for n, s in enumerate(plan.asset.inputs)]
        made = Keys(plan.model_copy(update={"asset": Asset(inputs=tuple(inputs))}), threads=1, version="9", quality=None)
        tracks = [made.audio(number, rendition) for number, rendition in enumerate(plan.audio)]
        names = [made.chunk(plan.chunks[0]), *tracks, *(made.subtitles(rendition) for rendition in plan.subtitles)]
        return [next(iter(each.values())) for each in names]

    assert [r.stream.input for r in (*plan.video, *plan.audio, *plan.subtitles)] == [0, 0, 1, 1]
    same = [[old == new for old, new in zip(keys(), keys(number), strict=True)] for number in (0, 1)]
    assert same == [[False, False, True, True], [True, True, False, False]]


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
def test_a_copied_track_has_the_very_frames_of_its_file(container: str, film: Path, tmp_path: Path, store: Store, program: FFmpeg) -> None:
    """Whatever the container makes of their times: on the grid they follow each other without a gap, and are cut like any others."""
    source = film if container == "mp4" else remux(film, tmp_path / f"film.{container}")
    encoded = tiny_plan(source, chunk=1000)
    plan = encoded.model_copy(update={"audio": tuple(copied(encoded, track) for track in encoded.audio)})
    assert "aac" not in needs(plan)[0]
    (made,) = (done for done in made_of(plan, store, program) if isinstance(done, EncodedAudio))
    assert [round(at, 2) for at in onsets(pcm(made.artifact.path)[0])] == [0, 1, 2]
    assert made.quality is not None
    movie = read_movie(made.artifact.path)
    samples = [sample for fragment in fragments(made.artifact.path, movie) for sample in fragment.samples]
    assert {sample.duration for sample in samples} == {AAC_FRAME}
    frames = frame_hashes(made.artifact.path)
    assert len(frames) == made.artifact.samples == len(samples) >= 3 * RATE / AAC_FRAME
    assert frame_hashes(film)[: len(frames)] == frames
    cuts = list(audio_cuts(made.artifact, made.rendition, plan.grid))
    assert [round(float(cut.start), 1) for cut in cuts] == [0.0, 1.0, 1.9]
    assert Keys(plan, threads=1, version="9", quality=None).audio(0, plan.audio[0]) != Keys(
        encoded, threads=1, version="9", quality=None
    ).audio(0, encoded.audio[0])


def frame_hashes(path: Path) -> list[str]:
    """Return a hash of each audio frame as it is coded; the fields after it are of side data."""
    text = ffmpeg("-i", path, "-map", "0:a", "-c", "copy", "-f", "framemd5", "-").decode()
    return [line.split(",")[5].strip() for line in text.splitlines() if line and not line.startswith("#")]


def test_a_copy_beside_an_encode_of_the_same_stream(film: Path, store: Store, program: FFmpeg) -> None:
    plan = tiny_plan(film, chunk=1000)
    (track,) = plan.audio
    both = plan.model_copy(update={"audio": (track, copied(plan, track).model_copy(update={"id": "copy", "default": False}))})
    found = {done.rendition.id: done.artifact for done in made_of(both, store, program) if isinstance(done, EncodedAudio)}
    assert [round(at, 2) for at in onsets(pcm(found["copy"].path)[0])] == [0, 1, 2]
    assert frame_hashes(found["copy"].path) != frame_hashes(found["und"].path)


def test_copies_alone_decode_nothing(film: Path) -> None:
    plan = tiny_plan(film)
    arguments = audio_arguments(audio_command(plan, (copied(plan, plan.audio[0]),), None))
    assert "-filter_complex" not in arguments
    assert arguments[arguments.index("-c:a") + 1] == "copy"


def test_a_copy_that_is_not_what_its_packets_promised_is_not_kept(film: Path, tmp_path: Path, store: Store, program: FFmpeg) -> None:
    """Facts that are wrong do not publish audio that ends half-way."""
    short = tmp_path / "short.mp4"
    ffmpeg("-i", film, "-t", "1", "-i", film, "-map", "0:v", "-map", "1:a", "-c", "copy", short)
    honest = tiny_plan(short, chunk=1000)
    (stream,) = honest.source.audio
    longer = stream.model_copy(update={"duration": Fraction(3), "packets_duration": Fraction(3)})
    source = honest.source.model_copy(update={"audio": (longer,)})
    plan = tiny_plan(source, chunk=1000)
    plan = plan.model_copy(update={"audio": (copied(plan, plan.audio[0]),)})
    with pytest.raises(EncodeFailed, match="samples, not"):
        made_of(plan, store, program)
