"""A real browser decrypts samples: Chromium's Encrypted Media Extensions (ClearKey) under Shaka Player, hls.js and dash.js.

Needs what ``tests/playback/chromium.py`` says; without it the tests are skipped and say so.

Shaka Player fetches the key from the URI in the playlist, and reads its id from the init section. hls.js takes keys of Common Encryption
from a key system only: its page reads KEYFORMAT "identity" as ClearKey, and asks a server for the license. In DASH stands no
address of a key: both players are given the keys by their page.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg
import pytest

from tests.ingest_support import FIXTURES, keys_of, run, settings, version
from tests.playback.chromium import Seen, Show, watch, with_player

pytestmark = pytest.mark.nightly
Title = tuple[Path, dict[str, bytes]]


def playing(*cells: tuple[str, str]) -> list[object]:
    return [pytest.param(name, manifest, marks=with_player(name), id=f"{name} {manifest}") for name, manifest in cells]


@pytest.fixture(scope="module", params=["cbcs", "cenc"])
def title(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Title:
    configured = settings(tmp_path_factory.mktemp(request.param), encrypt=request.param)
    result = run(FIXTURES / "portrait-25.mp4", configured)
    return version(result), keys_of(result, configured)


@pytest.fixture(scope="module")
def two_classes(tmp_path_factory: pytest.TempPathFactory) -> Title:
    """A title of 16 s, in SD and in HD, each under a key of its own."""
    folder = tmp_path_factory.mktemp("classes")
    inputs = ("-f", "lavfi", "-i", "testsrc2=s=1280x720:r=24:d=16", "-f", "lavfi", "-i", "sine=f=440:r=48000:d=16")
    encoded = ("-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", str(folder / "clip.mp4"))
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *inputs, *encoded], check=True)
    configured = settings(folder, 90, 720, encrypt="cbcs", key_classes="audio-sd-hd-uhd")
    result = run(folder / "clip.mp4", configured)
    return version(result), keys_of(result, configured)


def played(title: Title, player: str, manifest: str, seconds: float) -> Seen:
    """Play a title that begins with its smallest rung; return what the page saw of it."""
    folder, keys = title
    (seen,) = watch([Show(folder, player, manifest, keys=keys, eme=True, seconds=seconds, more={"lowest": True})])
    return seen


@pytest.mark.parametrize(("player", "manifest"), playing(("Shaka Player", "dash"), ("dash.js", "dash")))
def test_a_player_changes_to_a_rung_under_another_key(two_classes: Title, player: str, manifest: str) -> None:
    assert len(two_classes[1]) == 3
    report = played(two_classes, player, manifest, 16).report
    assert (report["errors"], report["ended"]) == ([], True), report
    assert report["heights"] == [90, 720]
    assert report["time"] == pytest.approx(16.0, abs=0.05)


@pytest.mark.parametrize(
    ("player", "manifest"), playing(("Shaka Player", "hls"), ("hls.js", "hls"), ("Shaka Player", "dash"), ("dash.js", "dash"))
)
def test_encrypted_samples_play_to_the_end(title: Title, player: str, manifest: str) -> None:
    for _ in range(2):  # a busy machine starves a player: what did not play well plays once more; a fault of the title is there again
        seen = played(title, player, manifest, 3)
        report = seen.report
        if not report["errors"] and report["ended"] and not report["stalls"]:
            break
    assert (report["errors"], report["stalls"], report["ended"]) == ([], [], True), report
    assert report["keys"], "the browser decrypts, and not the player"
    assert report["time"] == pytest.approx(3.0, abs=0.05)
    assert seen.steps[0]["frames"] >= 75


@pytest.mark.parametrize(("player", "manifest"), playing(("Shaka Player", "hls"), ("hls.js", "hls")))
@pytest.mark.parametrize("classes", ["all", "audio-video"])
def test_a_player_takes_session_keys_of_encrypted_samples(classes: str, player: str, manifest: str, tmp_path: Path) -> None:
    """The master playlist names keys by their URIs alone: it cannot give their ids, which players take from init sections."""
    configured = settings(tmp_path, encrypt="cbcs", session_keys=True, key_classes=classes)
    result = run(FIXTURES / "portrait-25.mp4", configured)
    assert Path(result.manifest).read_text().count("#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,") == len(result.record.encryption.key_ids)
    report = played((version(result), keys_of(result, configured)), player, manifest, 3).report
    assert (report["errors"], report["ended"], report["keys"]) == ([], True, True), report
    assert report["time"] == pytest.approx(3.0, abs=0.05)
