"""Find titles, on SQLite and on a real PostgreSQL: the same corpus, the same questions, the same answers."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, get_args

import hypothesis
import pytest
import sqlalchemy as sa
from hypothesis import example, given
from hypothesis import strategies as st

from tests import test_catalog
from tests.test_catalog import record
from vidpipe.catalog import index, search
from vidpipe.catalog.merge import Exported
from vidpipe.catalog.record import AudioRecord, Encryption, Record, SubtitleRecord
from vidpipe.catalog.search import Order, Query
from vidpipe.catalog.store import Catalog
from vidpipe.catalog.terms import asked, folded, indexed
from vidpipe.errors import CatalogFailed, UsageError

postgres, url = test_catalog.postgres, test_catalog.url


def title(content_id: str, name: str, version: str = "v1", **changes: Any) -> Record:
    """A title with audio in ``spoken`` and subtitles in ``written``, of a rung of ``height``."""
    spoken, written, height = changes.pop("spoken", "en"), changes.pop("written", None), changes.pop("height", 720)
    made = record(content_id, version, title=name, metadata=changes.pop("metadata", {}), encryption=Encryption(method="none"))
    video = made.renditions[0].model_copy(update={"id": f"{height}p", "height": height})
    text = SubtitleRecord(id="s", name="s", language=written, default=False, forced=False, url="u")
    return made.model_copy(
        update={
            "renditions": (video, *made.renditions[1:]),
            "audio": (AudioRecord(id="en", name="Audio", language=spoken, channels=2, default=True),),
            "subtitles": (text,) if written else (),
            **changes,
        }
    )


CORPUS = (
    title("amelie", "Le Fabuleux Destin d'Amélie Poulain", metadata={"genre": "Comedy, Romance", "cast": "Audrey Tautou"}, spoken="fr",
          created_at=datetime(2026, 3, 1, tzinfo=UTC), duration=7320.0),
    title("strasse-01", "Die Straße", metadata={"genre": "Drama", "Länder": "Österreich"}, spoken="de-AT", height=1080,
          created_at=datetime(2026, 3, 2, 12, tzinfo=UTC), duration=5400.0),
    title("strasse-02", "DIE STRASSE II: Zurück", metadata={"genre": "Drama; Thriller"}, spoken="de", written="en", height=2160,
          created_at=datetime(2026, 3, 2, 13, tzinfo=UTC), duration=5400.0),
    title("tokyo", "東京物語", metadata={"genre": "ドラマ", "cast": "笠智衆, 東山千栄子"}, spoken="ja", written="en",
          created_at=datetime(1999, 12, 31, tzinfo=UTC), duration=8160.0, encryption=Encryption(method="aes-128")),
    title("kyoto", "京都と東京", spoken="ja", created_at=datetime(2026, 3, 4, tzinfo=UTC), duration=60.0),
    title("war", "Война и мир", metadata={"genre": "science fiction"}, spoken="ru", created_at=datetime(2026, 3, 5, tzinfo=UTC)),
    title("odos", "Ο ΔΡΟΜΟΣ", spoken="el", created_at=datetime(2026, 3, 6, tzinfo=UTC)),
    title("hindi", "हिन्दी फ़िल्म", spoken="hi", created_at=datetime(2026, 3, 7, tzinfo=UTC)),
    title("lodz", "Łódź – the film-noir of 1/2 & example.com/x", spoken="pl", written="pt-BR", created_at=datetime(2026, 3, 8, tzinfo=UTC)),
    title("Mixed.Case_9", "'quoted' \"title\" 100% _under_ \\back*", metadata={"a": "b=c", "": "x"},
          created_at=datetime(2026, 3, 9, tzinfo=UTC)),
    title("emoji", "🎬", metadata={"note": "nothing but a picture"}, created_at=datetime(2026, 3, 10, tzinfo=UTC)),
    title("old", "The old cut", "v1", status="superseded", created_at=datetime(2026, 1, 1, tzinfo=UTC)),
    title("old", "The new cut", "v2", created_at=datetime(2026, 1, 2, tzinfo=UTC)),
)  # fmt: skip


@pytest.fixture(scope="module")
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Catalog]]:
    """The corpus in both databases."""
    places = {"sqlite": f"sqlite:///{tmp_path_factory.mktemp('filled')}/catalog.db"}
    server = request.getfixturevalue("postgres")
    if isinstance(server, str):
        places["postgresql"] = server
    catalogs = {name: Catalog(place) for name, place in places.items()}
    for catalog in catalogs.values():
        catalog.add([Exported(fingerprint="f", record=made) for made in CORPUS])
    yield catalogs
    for catalog in catalogs.values():
        catalog.close()


def found(filled: dict[str, Catalog], **query: Any) -> list[str]:
    """Return the ids that all databases find, each in both its ways: that for rare and that for common words. They have to be the same."""
    answers = {}
    for few in (search.FEW, 1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(search, "FEW", few)
            for name, catalog in filled.items():
                answers[name, few] = [each.content_id for each in catalog.search(Query(**query), 100).records]
    first = answers["sqlite", 1]
    assert all(answer == first for answer in answers.values()), answers
    return first


LIVE = sorted({made.content_id for made in CORPUS})

WORDS: dict[str, list[str]] = {
    "amélie": ["amelie"],
    "AMELIE": ["amelie"],
    "poul": ["amelie"],  # the last word may be a beginning
    "poul amelie": [],  # the others may not
    "tautou destin": ["amelie"],  # metadata and title
    "d'amélie": ["amelie"],
    "strasse": ["strasse-01", "strasse-02"],
    "straße": ["strasse-01", "strasse-02"],
    "zuruck": ["strasse-02"],
    "strasse-02": ["strasse-02"],
    "österreich": ["strasse-01"],
    "東京": ["kyoto", "tokyo"],
    "京": ["kyoto", "tokyo"],
    "語": ["tokyo"],
    "東京物語": ["tokyo"],
    "東京都": [],
    "京都と": ["kyoto"],
    "東京" * 400: [],
    "東京京都": [],  # both pairs are there, but not one behind the other
    "ﾄﾞﾗﾏ": ["tokyo"],  # half-width
    "война": ["war"],
    "ВОЙНА ми": ["war"],
    "δρομος": ["odos"],
    "δρόμος": ["odos"],
    "हिन्दी": ["hindi"],
    "lodz": ["lodz"],
    "ŁÓDŹ": ["lodz"],
    "noir": ["lodz"],
    "film-noir": ["lodz"],
    "example.com": ["lodz"],
    "1/2": ["lodz"],
    "100%": ["Mixed.Case_9"],
    "mixed": ["Mixed.Case_9"],
    "new cut": ["old"],
    "old cut": ["old"],  # "old" is its id
    "genre": [],  # names of metadata are not searched
    "=genre=drama": [],
    "AND": [],
    "film NOT noir": [],
    '"quoted"': ["Mixed.Case_9"],
    "qu*": ["Mixed.Case_9"],
    "title:quoted": ["Mixed.Case_9"],
    "NEAR(quoted title, 1)": [],
    "'; DROP TABLE vidpipe_search; --": [],
}


@pytest.mark.parametrize("text", WORDS, ids=[f"words-{number}" for number in range(len(WORDS))])
def test_titles_are_found_by_words(text: str, filled: dict[str, Catalog]) -> None:
    assert found(filled, text=text) == WORDS[text]


FILTERS: tuple[tuple[dict[str, Any], list[str]], ...] = (
    ({}, LIVE),
    ({"states": ("superseded",)}, ["old"]),
    ({"states": ()}, sorted(made.content_id for made in CORPUS)),
    ({"id": "strasse"}, ["strasse-01", "strasse-02"]),
    ({"id": "strasse*2"}, ["strasse-02"]),
    ({"id": "*o"}, ["kyoto", "tokyo"]),
    ({"id": "?yoto"}, ["kyoto"]),
    ({"id": "mixed"}, []),  # ids have a case
    ({"id": "kyoto"}, ["kyoto"]),
    ({"id": "kyotn"}, []),
    ({"id": "Mixed.Case?9"}, ["Mixed.Case_9"]),
    ({"id": "*_*"}, ["Mixed.Case_9"]),  # "_" and "%" mean themselves
    ({"id": "*%*"}, []),
    ({"id": "\udcfc"}, []),
    ({"id": "k\0*"}, []),
    ({"id": "\U0010ffff"}, []),
    ({"id": "*[s]trasse*"}, []),
    ({"metadata": {"genre": "drama"}}, ["strasse-01", "strasse-02"]),
    ({"metadata": {"GENRE": "thriller"}}, ["strasse-02"]),
    ({"metadata": {"genre": "Drama; Thriller"}}, ["strasse-02"]),
    ({"metadata": {"genre": "Science Fiction"}}, ["war"]),
    ({"metadata": {"genre": "science"}}, []),
    ({"metadata": {"genre": "ドラマ"}}, ["tokyo"]),
    ({"metadata": {"cast": "東山千栄子"}}, ["tokyo"]),
    ({"metadata": {"lander": "osterreich"}}, ["strasse-01"]),
    ({"metadata": {"genre": "drama", "länder": "Österreich"}}, ["strasse-01"]),
    ({"metadata": {"language": "de"}}, []),
    ({"languages": ("de",)}, ["strasse-01", "strasse-02"]),
    ({"languages": ("de-at",)}, ["strasse-01"]),
    ({"languages": ("pt",)}, ["lodz"]),
    ({"languages": ("ja", "en")}, ["tokyo"]),
    ({"languages": ("e",)}, []),
    ({"heights": (1080,)}, ["strasse-01"]),
    ({"heights": (108,)}, []),
    ({"encryption": "aes-128"}, ["tokyo"]),
    ({"encryption": "none", "id": "k"}, ["kyoto"]),
    ({"created_from": datetime(2026, 3, 9, tzinfo=UTC)}, ["Mixed.Case_9", "emoji"]),
    ({"created_before": datetime(2000, 1, 1, tzinfo=UTC)}, ["tokyo"]),
    ({"created_from": datetime(2026, 3, 2, 12, tzinfo=UTC), "created_before": datetime(2026, 3, 2, 13, tzinfo=UTC)}, ["strasse-01"]),
    ({"shortest": 5400.0}, ["amelie", "strasse-01", "strasse-02", "tokyo"]),
    ({"shortest": 60.0, "longest": 5400.0}, ["kyoto", "strasse-01", "strasse-02"]),
    ({"text": "strasse", "metadata": {"genre": "thriller"}, "languages": ("de",), "heights": (2160,), "shortest": 1.0}, ["strasse-02"]),
    ({"order": "created", "id": "strasse"}, ["strasse-02", "strasse-01"]),
    ({"order": "created", "reverse": True, "id": "strasse"}, ["strasse-01", "strasse-02"]),
    ({"order": "duration", "shortest": 5000.0}, ["tokyo", "amelie", "strasse-02", "strasse-01"]),
    ({"order": "title", "languages": ("en",)}, ["emoji", "strasse-02", "Mixed.Case_9", "old", "tokyo"]),
)


@pytest.mark.parametrize(("query", "expected"), FILTERS, ids=[f"filter-{number}" for number in range(len(FILTERS))])
def test_titles_are_filtered_and_sorted(query: dict[str, Any], expected: list[str], filled: dict[str, Catalog]) -> None:
    assert found(filled, **query) == expected


@pytest.mark.parametrize("order", get_args(Order))
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_pages_are_the_whole_list_in_pieces(order: Order, reverse: bool, filled: dict[str, Catalog]) -> None:
    answers = []
    for catalog in filled.values():
        query = Query(order=order, reverse=reverse, states=())
        whole = [(each.content_id, each.version) for each in catalog.search(query, 100).records]
        assert sorted(whole) == sorted((made.content_id, made.version) for made in CORPUS)
        paged, after = [], None
        while True:
            page = catalog.search(query.model_copy(update={"after": after}), 3)
            paged += [(each.content_id, each.version) for each in page.records]
            after = page.next
            if after is None:
                break
            assert len(page.records) == 3
            assert after.isalnum(), "so that it can be given in a URL, and to a shell"
        assert paged == whole == [(each.content_id, each.version) for each, _ in catalog.each(query)]
        answers.append(whole)
    assert all(answer == answers[0] for answer in answers)
    assert (answers[0] == sorted(answers[0])) == (order == "id" and not reverse)


def test_a_page_that_ends_with_the_last_title_has_no_next(filled: dict[str, Catalog]) -> None:
    for catalog in filled.values():
        assert catalog.search(Query(), len(LIVE)).next is None
        assert catalog.search(Query(), len(LIVE) - 1).next is not None
        assert catalog.search(Query(text="nowhere"), 5).next is None


def test_what_is_published_meanwhile_shifts_no_page(url: str) -> None:
    with Catalog(url) as catalog:
        for name in "bdfh":
            catalog.publish(record(name), "f")
        first = catalog.search(Query(), 2)
        catalog.publish(record("a"), "f")
        catalog.publish(record("e"), "f")
        second = catalog.search(Query(after=first.next), 9)
        assert [[each.content_id for each in page.records] for page in (first, second)] == [["b", "d"], ["e", "f", "h"]]


@pytest.mark.parametrize("cursor", ["", "x", "!!", "bnVsbA", "W10", "WyJpZCIsIGZhbHNlLCAiYSJd", "WyJpZCIsIGZhbHNlLCAiYSIsIDVd", "é"])
def test_a_cursor_that_is_none_is_refused(cursor: str, filled: dict[str, Catalog]) -> None:
    for catalog in filled.values():
        with pytest.raises(UsageError) as refused:
            catalog.search(Query(after=cursor), 5)
        assert refused.value.where == "--after"


def test_a_cursor_of_another_order_is_refused(filled: dict[str, Catalog]) -> None:
    for catalog in filled.values():
        cursor = catalog.search(Query(order="title"), 2).next
        for other in (Query(order="id", after=cursor), Query(order="title", reverse=True, after=cursor)):
            with pytest.raises(UsageError, match="this cursor does not belong to this order"):
                catalog.search(other, 2)


@pytest.mark.parametrize("text", ["", " ", "!?…", "\0", "\ud800", "🎬", " ".join(f"w{number}" for number in range(51)), "東" * 1001])
def test_a_search_without_words_or_with_too_many_is_refused(text: str, filled: dict[str, Catalog]) -> None:
    for catalog in filled.values():
        with pytest.raises(UsageError):
            catalog.search(Query(text=text), 5)


def test_as_many_words_as_may_be_asked_for(filled: dict[str, Catalog]) -> None:
    assert found(filled, text=" ".join(f"w{number}" for number in range(50))) == []


def test_a_moment_is_the_same_wherever_the_machine_stands(filled: dict[str, Catalog], monkeypatch: pytest.MonkeyPatch) -> None:
    tokyo = datetime(2026, 3, 9, 9, tzinfo=timezone(timedelta(hours=9)))
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        answer = found(filled, created_from=tokyo)
    time.tzset()
    assert answer == ["Mixed.Case_9", "emoji"]


WORDS_OF_A_TITLE = (
    "==encryption=aes_128 ==height=1080 ==language=de ==language=de_at ==language=pt ==language=pt_br =lander=osterreich_ungarn "
    "=genre=drama_thriller =genre=drama =genre=thriller die strasse of 東京 京 film 01 osterreich ungarn drama thriller"
)


def test_the_words_of_a_title_stay_what_they_are(url: str) -> None:
    """A catalog that an earlier vidpipe has filled is searched by them. Whoever changes them has to fill it anew (migrations)."""
    metadata = {"Länder": "Österreich-Ungarn", "genre": "Drama; Thriller"}
    made = title("film-01", "Die Straße of 東京", metadata=metadata, spoken="de-AT", written="pt-BR", height=1080)
    with Catalog(url) as catalog:
        catalog.publish(made.model_copy(update={"encryption": Encryption(method="aes-128")}), "f")
        with catalog._engine.connect() as connection:
            row = connection.execute(sa.text("SELECT words, title_key, duration FROM vidpipe_search")).one()
    assert sorted(row.words.split()) == sorted(WORDS_OF_A_TITLE.split())  # PostgreSQL keeps no order of keys
    assert (row.title_key, row.duration) == ("die strasse of 東京", 10.01)


def test_a_damaged_record_keeps_nobody_from_other_titles(url: str) -> None:
    with Catalog(url) as catalog:
        catalog.publish(record("good"), "f")
        catalog.publish(record("quite-bad"), "f")
        with catalog._engine.begin() as connection:
            connection.exec_driver_sql("""UPDATE vidpipe_versions SET record = '{"x": 1}' WHERE content_id = 'quite-bad'""")
        catalog.publish(record("good", "v2"), "f")
        for query in (Query(text="film"), Query(shortest=0.5), Query(languages=("en",))):
            assert [each.content_id for each in catalog.search(query, 5).records] == ["good"]
        for query in (Query(text="bad"), Query(longest=0.5), Query(order="title")):
            with pytest.raises(CatalogFailed, match="the record of quite-bad v1 is not a valid"):
                catalog.search(query, 1)


def test_metadata_without_a_letter_is_refused(filled: dict[str, Catalog]) -> None:
    with pytest.raises(UsageError, match="no letter or digit"):
        filled["sqlite"].search(Query(metadata={"genre": "-"}), 5)


ALPHABET = st.one_of(st.characters(), st.sampled_from("\"'*^:(){}+-&|!<>\\%_ \0東京éßİΣ ゙ً"))


@hypothesis.settings(max_examples=20)
@given(st.text(ALPHABET, max_size=12), st.text(ALPHABET, max_size=12), st.text(ALPHABET, max_size=8))
@example('" OR *', "a:b", "x")
@example("'", "\\", "%")
def test_no_text_is_syntax(text: str, value: str, pattern: str) -> None:
    """Neither database fails, whatever is asked for, and both say the same."""
    catalogs = _opened()
    for query in ({"text": text}, {"metadata": {"k": value}}, {"languages": (value,)}, {"encryption": value}):
        try:
            found(catalogs, **query)
        except UsageError:
            continue
    found(catalogs, id=pattern)


_catalogs: dict[str, Catalog] = {}


def _opened() -> dict[str, Catalog]:
    return _catalogs


@pytest.fixture(autouse=True, scope="module")
def _for_hypothesis(filled: dict[str, Catalog]) -> Iterator[None]:
    _catalogs.update(filled)
    yield
    _catalogs.clear()


@given(st.text(), st.text())
@example("İstanbul", "ǰ")
@example("ΌΔΟΣ", "ß")
@example("𝕳é", "ﬃ")
def test_words_are_found_as_they_are_indexed(text: str, more: str) -> None:
    """Whoever asks for a word as it was shown, in capitals, or taken apart, asks for what is in the index."""
    assert folded(folded(text)) == folded(text)
    words = list(indexed(f"{text} {more}"))
    assert all(" " not in word and word for word in words)
    for word in asked(text):
        first = word[:2]
        assert first in words or word in words


def test_random_questions_have_the_answers_that_python_gives(url: str) -> None:
    """Against a model: words as sets, metadata as pairs."""
    chance = random.Random(14)
    words = ["night", "nights", "river", "Été", "東京", "東京都", "der", "straße", "x1", "nightfall"]
    made = [
        title(f"t{number:02d}", " ".join(chance.sample(words, 3)), metadata={"genre": chance.choice(("drama", "comedy", "drama, war"))},
              created_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=chance.randrange(500)), duration=chance.choice((60.0, 90.0)))
        for number in range(60)
    ]  # fmt: skip
    with Catalog(url) as catalog:
        catalog.add([Exported(fingerprint="f", record=each) for each in made])
        for _ in range(60):
            exact, last = chance.choice(words), chance.choice(words)
            genre = chance.choice(("drama", "war", "comedy"))
            wanted = [
                each.content_id
                for each in sorted(made, key=lambda each: (each.created_at, each.content_id), reverse=True)
                if _has(each, exact, whole=True) and _has(each, last, whole=False) and genre in each.metadata["genre"].split(", ")
            ]
            query = Query(text=f"{exact} {last}", metadata={"genre": genre}, order="created")
            if folded(exact) != folded(last):
                assert [each.content_id for each in catalog.search(query, 100).records] == wanted, query


def _has(made: Record, word: str, *, whole: bool) -> bool:
    if not folded(word).isascii():  # Japanese is found inside words
        return word in made.title
    words = folded(made.title).split()
    return folded(word) in words if whole else any(each.startswith(folded(word)) for each in words)


def test_a_long_text_is_indexed_as_far_as_a_database_takes_it(url: str) -> None:
    """A tsvector of more than 1 MB fails, and with it the publication."""
    text = " ".join(f"word{number}" for number in range(300_000))
    with Catalog(url) as catalog:
        more = {f"key {key}": " ".join(f"w{key}x{number}" for number in range(9_000)) for key in range(20)}
        catalog.publish(record(title="t" * 50_000, metadata={"about": text, "b": "x" * 90_000, **more}), "f")
        assert catalog.search(Query(text="word9"), 5).records
        assert catalog.search(Query(text="t" * 1000, order="title"), 5).records


def test_the_index_follows_a_version_through_its_states(url: str) -> None:
    with Catalog(url) as catalog:
        catalog.publish(record(version="v1", title="first"), "1")
        catalog.publish(record(version="v2", title="second"), "2")
        assert [each.version for each in catalog.search(Query(text="first"), 5).records] == []
        assert [each.version for each in catalog.search(Query(text="first", states=("superseded",)), 5).records] == ["v1"]
        assert [each.version for each in catalog.search(Query(text="second"), 5).records] == ["v2"]
        with catalog._transaction(write=True) as connection:
            renamed = record(version="v2", title="third").model_dump(mode="json")
            table = index.versions
            connection.execute(sa.update(table).where(table.c.version == "v2").values(record=renamed, status="superseded"))
            connection.execute(sa.delete(table).where(table.c.version == "v1"))
        assert [each.version for each in catalog.search(Query(text="third", states=()), 5).records] == ["v2"]
        assert catalog.search(Query(text="second", states=()), 5).records == ()
        assert catalog.search(Query(text="first", states=()), 5).records == ()
        assert catalog.search(Query(), 5).records == ()


def test_a_catalog_that_may_not_be_written_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Catalog(tmp_path / "catalog.db") as catalog:
        catalog.add([Exported(fingerprint="f", record=made) for made in CORPUS])
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)
    with Catalog(tmp_path / "catalog.db") as catalog:
        assert [each.content_id for each in catalog.search(Query(text="amel"), 5).records] == ["amelie"]
        assert len(list(catalog.each(Query()))) == len(LIVE)
    assert [path.name for path in tmp_path.iterdir()] == ["catalog.db"]
