"""Names of tracks: languages in English, what distinguishes tracks, and languages that a person gives."""

from __future__ import annotations

from typing import Any

import pytest

from tests.test_plan import LADDER, audio, planned, source, words
from vidpipe.errors import UsageError
from vidpipe.ladder import AudioRung
from vidpipe.plan.languages import by_stream, read_languages, with_languages

SURROUND = LADDER.model_copy(update={"audio": (AudioRung(channels=6, bitrate=320_000), AudioRung())})


TRACKS: dict[str, tuple[list[dict[str, Any]], list[str]]] = {
    "languages": ([{"language": "en"}, {"language": "fr"}], ["English", "French"]),
    "its own title": ([{"language": "en", "title": "Theatrical"}], ["Theatrical"]),
    "nothing is said": ([{}], ["Main"]),
    "nothing is said of two": ([{}, {}], ["Track 1", "Track 2"]),
    "another layout": ([{"language": "en", "layout": "stereo"}, {"language": "en", "layout": "5.1(side)"}], ["English", "English (5.1)"]),
    "the same layout": ([{"language": "en", "layout": "stereo"}, {"language": "en", "layout": "stereo"}], ["English", "English 2"]),
    "roles": (
        [{"language": "en"}, {"language": "en", "role": "description"}, {"language": "en", "role": "commentary"}],
        ["English", "English (Audio description)", "English (Commentary)"],
    ),
    "a title that says the role": ([{"title": "Director's commentary", "role": "commentary"}], ["Director's commentary"]),
}


@pytest.mark.parametrize(("tracks", "names"), TRACKS.values(), ids=TRACKS.keys())
def test_audio_is_named_by_its_language(tracks: list[dict[str, Any]], names: list[str]) -> None:
    made = planned(source(audio=tuple(audio(number, **track) for number, track in enumerate(tracks, 1))))
    assert [r.name for r in made.audio] == names


def test_all_renditions_of_a_track_have_names_of_their_own() -> None:
    """The record has one list of all of them; the playlists call each by the name of its track's first."""
    tracks = (audio(1, 6, language="en", layout="5.1"), audio(2, 6, language="en", layout="5.1", title="Surround 5.1"))
    made = planned(source(audio=tracks), SURROUND).audio
    assert [(r.name, r.channels) for r in made] == [
        ("English", 2),
        ("English (5.1)", 6),
        ("Surround 5.1", 2),
        ("Surround 5.1 (6 channels)", 6),
    ]
    assert [r.default for r in made] == [True, False, False, False]


@pytest.mark.parametrize(
    ("tracks", "default"),
    [
        pytest.param([{"role": "description", "default": True}, {}], 2, id="description that is flagged default"),
        pytest.param([{"role": "commentary"}, {"role": "clear-speech"}, {}], 3, id="the only one for everybody comes last"),
        pytest.param([{}, {"default": True}], 2, id="chosen"),
        pytest.param([{"role": "commentary"}, {"role": "description", "default": True}], 2, id="nothing else, and silence is worse"),
    ],
)
def test_audio_for_some_viewers_is_never_the_default(tracks: list[dict[str, Any]], default: int) -> None:
    made = planned(source(audio=tuple(audio(number, **track) for number, track in enumerate(tracks, 1))))
    assert [r.stream.stream for r in made.audio if r.default] == [default]


# --- languages that a person gives ------------------------------------------------------------------------------------


def test_what_the_command_line_may_say() -> None:
    assert read_languages(["deu", "2=pt_br"]) == {None: "de", 2: "pt-BR"}
    for bad in ("german", "", "und", "x=de", "-1=de", "1.0=de", "2=", "=de"):
        with pytest.raises(UsageError, match="does not name a language") as caught:
            read_languages([bad])
        assert caught.value.where == "--language"
        assert "--language 2=de" in str(caught.value.fix)
    with pytest.raises(UsageError, match="twice"):
        read_languages(["de", "fr"])
    with pytest.raises(UsageError, match="language of stream 1 is given twice"):
        read_languages(["1=de", "01=fr"])


def test_a_language_goes_to_the_one_track_without() -> None:
    film = source(audio=(audio(1, language="en"), audio(2))).model_copy(update={"subtitles": (words(3, language="fr"),)})
    given = by_stream(film, {None: "de", 3: "nl"})
    assert given == {2: "de", 3: "nl"}
    named = with_languages(film, given)
    assert [track.language for track in (*named.audio, *named.subtitles)] == ["en", "de", "nl"]
    assert [(r.id, r.name, r.language) for r in planned(named).audio] == [("en", "English", "en"), ("de", "German", "de")]
    assert with_languages(film, {}) is film
    captions = words(0, codec="eia_608", channel="CC1")  # in the stream of the picture
    shown = film.model_copy(update={"subtitles": (captions,)})
    assert by_stream(shown, {None: "de"}) == {2: "de"}, "captions are not meant unless their stream is named"
    assert with_languages(shown, by_stream(shown, {0: "en"})).subtitles[0].language == "en"


@pytest.mark.parametrize(
    ("languages", "what"),
    [
        pytest.param({None: "de"}, "2 tracks have no language", id="which one?"),
        pytest.param({None: "de", 1: "en", 2: "fr"}, "every track has a language", id="none is left"),
        pytest.param({0: "de"}, "stream 0 is neither audio nor subtitles", id="the picture"),
    ],
)
def test_a_language_that_fits_no_track_is_refused(languages: dict[int | None, str], what: str) -> None:
    film = source(audio=(audio(1),)).model_copy(update={"subtitles": (words(2),)})
    with pytest.raises(UsageError, match=what) as caught:
        by_stream(film, languages)
    assert "1 (audio, no language), 2 (subtitles, no language)" in str(caught.value.fix)
