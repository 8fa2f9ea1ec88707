"""batch/requests: which titles a batch is to make, and every wrong line of a list at once."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests import servers
from vidpipe.batch.requests import COLUMNS, from_list, from_sources, read_list
from vidpipe.errors import UsageError
from vidpipe.pipeline.ingest import IngestRequest
from vidpipe.storage import open_storage


def test_files_and_folders_are_sources_in_the_order_of_their_names(tmp_path: Path) -> None:
    masters = tmp_path / "masters"
    (masters / "inner.mov").mkdir(parents=True)
    for name in ("b.mov", "a.MXF", "notes.txt", ".hidden.mov", "a.srt"):
        (masters / name).touch()
    found = from_sources(["other.bin", str(masters), "https://media.example/x/c%20d.mp4?token=secret"])
    assert [title.request.source for title in found] == [
        "other.bin", str(masters / "a.MXF"), str(masters / "b.mov"), "https://media.example/x/c%20d.mp4?token=secret"
    ]  # fmt: skip
    assert [title.content_id for title in found] == ["other", "a", "b", "c-d"]
    assert "secret" not in found[-1].where


def test_two_sources_of_one_name_are_refused_before_anything_begins(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"m01 is the content id of two titles: a/m01\.mov and b/m01\.mov") as refused:
        from_sources(["a/m01.mov", "b/m01.mov"])
    assert "--jobs" in str(refused.value.fix)


def test_a_folder_without_sources_says_what_one_is(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no source in this folder") as refused:
        from_sources([str(tmp_path)])
    assert ".mov" in str(refused.value.fix)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    with servers.moto() as running:
        running.use(monkeypatch, tmp_path)
        yield f"s3://{running.bucket}/masters/"


def test_everything_below_an_s3_prefix_is_a_source(bucket: str) -> None:
    with closing(open_storage(bucket)) as storage:
        for path in ("b.mov", "deep/a.mp4", "readme.txt"):
            storage.put(path, b"x", content_type="", cache_control="", sha256="")
    assert [title.request.source for title in from_sources([bucket])] == [f"{bucket}b.mov", f"{bucket}deep/a.mp4"]
    with pytest.raises(UsageError, match="no source below this prefix"):
        from_sources([bucket.replace("masters", "none")])


CSV = """\
source,id,title,meta.season,language,ladder,to,encrypt,replace
film.mov,film,"A Film, and more",2,de 2=en,fast,s3://media/vod,none,true
https://h/b.mp4,,,,,ladders/own.yaml,out,,
"""


def test_a_list_has_the_options_of_ingest() -> None:
    film, second = from_list(CSV, "titles.csv", Path("/srv/in"))
    assert (film.request.source, film.content_id, film.where) == ("/srv/in/film.mov", "film", "titles.csv:2")
    assert (film.request.title, film.request.metadata, film.request.replace) == ("A Film, and more", {"season": "2"}, True)
    assert film.request.languages == {None: "de", 2: "en"}
    assert film.settings == {"ladder": "fast", "target": "s3://media/vod", "encrypt": "none"}
    assert (second.request.source, second.content_id, second.request.title) == ("https://h/b.mp4", "b", None)
    assert second.settings == {"ladder": "/srv/in/ladders/own.yaml", "target": "/srv/in/out"}


def test_json_lines_say_the_same() -> None:
    text = (
        '{"source": "film.mov", "id": "film", "title": "A Film, and more", "meta": {"season": 2}, "language": ["de", "2=en"], '
        '"ladder": "fast", "target": "s3://media/vod", "encrypt": "none", "replace": true}\n\n'
        '{"source": "https://h/b.mp4", "ladder": "ladders/own.yaml", "to": "out", "title": null}\n'
    )
    of_csv, of_json = from_list(CSV, "t", Path("/srv/in")), from_list(text, "t", Path("/srv/in"))
    assert [title.model_copy(update={"where": ""}) for title in of_json] == [title.model_copy(update={"where": ""}) for title in of_csv]


def test_what_a_title_says_itself_counts_more_than_what_is_said_for_all() -> None:
    given = from_list("source,replace,new_key\na.mov,false,\nb.mov,,true\n", "t", Path())
    common = IngestRequest(source="", replace=True)
    assert [(each.with_defaults(common).request.replace, each.with_defaults(common).request.new_key) for each in given] == [
        (False, False), (True, True)
    ]  # fmt: skip


def test_a_spreadsheet_is_read_as_it_is_saved(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbfSource,ID\r\nf.mov,one\r\n\r\n,\r\n")
    (title,) = read_list(str(tmp_path / "t.csv"), io.BytesIO())
    assert (title.request.source, title.content_id) == (str(tmp_path / "f.mov"), "one")


def test_a_list_on_standard_input_is_seen_from_here() -> None:
    (title,) = read_list("-", io.BytesIO(b"\xef\xbb\xbfsource\nf.mov\n"))
    assert (title.request.source, title.where) == ("f.mov", "-:2")


def test_every_wrong_line_is_named_at_once() -> None:
    text = "source,id,replace\n,x,\na.mov,bad id,\nb.mov,b,perhaps\nc.mov,c,true,more\nd.mov,e,\nf.mov,e,\n"
    with pytest.raises(UsageError) as refused:
        from_list(text, "t.csv", Path())
    found = "\n".join(refused.value.lines())
    assert refused.value.what == "5 things are wrong with the titles"
    for line, what in ((2, "names no source"), (3, "is not a content id"), (4, "neither true nor false"), (5, "more cells")):
        assert any(f"t.csv:{line}: " in each and what in each for each in refused.value.details), (line, found)
    assert "e is the content id of two titles: t.csv:6 and t.csv:7" in found
    assert [each.at.line for each in refused.value.diagnostics() if each.at] == [2, 3, 4, 5, None]


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        ("source,titel\na.mov,x\n", "unknown column 'titel'", "did you mean title?"),
        ("sauce\na.mov\n", "unknown column 'sauce'", "did you mean source?"),
        ("id\nx\n", "has no column source", ", ".join(COLUMNS)),
        ("", "lists no title", "a heading"),
        ("source\n", "lists no title", "a heading"),
        ('source\n"a.mov\n', "is not CSV", "quotation marks"),
        ('{"source": "a.mov"', "is not JSON", "one JSON object a line"),
        ('{"source": "a.mov", "lader": "fast"}', "unknown column 'lader'", "did you mean ladder?"),
        ('{"source": "a.mov"}\n[1]', "is not a JSON object", "write for example"),
        ("source\n-\n", "standard input is the source of one title", "vidpipe ingest -"),
        ("source\nhttps://h:x/a b.mov\n", "t:2: ", "fix"),
        ("source,language\na.mov,nonsense-language\n", "does not name a language", "BCP 47"),
    ],
)
def test_what_is_no_list_gets_a_sentence(text: str, what: str, fix: str) -> None:
    with pytest.raises(UsageError) as refused:
        from_list(text, "t", Path())
    shown = "\n".join(refused.value.lines())
    assert what in shown
    assert fix in shown


def test_a_list_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_list(str(tmp_path / "none.csv"), io.BytesIO())
    (tmp_path / "latin.csv").write_bytes(b"source\nf\xfcr.mov\n")
    with pytest.raises(UsageError, match="is not UTF-8 text"):
        read_list("-", io.BytesIO(b"source\nf\xfcr.mov\n"))
    with pytest.raises(UsageError, match="is not UTF-8 text"):
        read_list(str(tmp_path / "latin.csv"), io.BytesIO())
