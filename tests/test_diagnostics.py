"""One type for everything that is wrong: as data, in reports, carried by errors; and every id has its line in the documentation."""

from __future__ import annotations

import ast
import json
import pickle
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.ingest_support import FIXTURES
from vidpipe.data import report
from vidpipe.diagnostics import Diagnostic, Where
from vidpipe.errors import EncodeFailed, SourceRefused, UsageError, VidpipeError
from vidpipe.source.findings import IDS
from vidpipe.source.limits import SourceLimits
from vidpipe.source.probe import probe

ROOT = Path(__file__).parent.parent
GAP = Diagnostic(
    id="timestamp-gap",
    severity="warning",
    at=Where(file="film.mov", stream=0, start=Fraction(1, 3), end=Fraction(4, 3)),
    message="a picture stands for 1.000 s",
    measured="1.000 s",
    limit="0.5 s",
    advice="look there",
)


def test_it_is_frozen_and_exact() -> None:
    assert Diagnostic.model_validate_json(GAP.model_dump_json()) == GAP
    assert pickle.loads(pickle.dumps(GAP)) == GAP
    with pytest.raises(ValidationError):
        GAP.at = Where()
    with pytest.raises(ValidationError):
        Diagnostic(id="x", severity="fatal", message="")


def test_a_report_is_flat_as_it_always_was() -> None:
    assert report(GAP) == {
        "id": "timestamp-gap",
        "severity": "warning",
        "file": "film.mov",
        "stream": 0,
        "line": None,
        "start": 0.333333,
        "end": 1.333333,
        "message": "a picture stands for 1.000 s",
        "measured": "1.000 s",
        "limit": "0.5 s",
        "advice": "look there",
    }


def test_a_file_is_named_unless_it_names_itself() -> None:
    bare = GAP.model_copy(update={"at": Where(stream=1)})
    assert bare.named("a.mov").at == Where(file="a.mov", stream=1)
    assert GAP.named("a.mov") is GAP
    assert bare.named(None) is bare


def test_a_failure_is_a_diagnostic() -> None:
    (found,) = UsageError("unknown key", where="mine.yaml", line=4, fix="remove it").diagnostics()
    assert found == Diagnostic(
        id="usage-error", severity="error", at=Where(file="mine.yaml", line=4), message="unknown key", advice="remove it"
    )
    assert SourceRefused("no such file", id="missing-source").diagnostics()[0].id == "missing-source"


def test_a_failure_may_carry_what_was_found() -> None:
    bare = GAP.model_copy(update={"at": Where(stream=0)})
    refused = SourceRefused("the source fails quality control", where="a.mov", found=[bare])
    refused.where = "https://media.example/a.mov"  # as source/access.py does
    assert refused.diagnostics() == (bare.named("https://media.example/a.mov"),)


def test_it_survives_another_process() -> None:
    error = pickle.loads(pickle.dumps(EncodeFailed("it broke", where="a", line=3, fix="again", found=[GAP], id="special")))
    assert (error.place, error.id, error.diagnostics(), str(error)) == ("a:3", "special", (GAP,), "a:3: it broke")


REFUSALS = {
    "text": ("text.mp4", b"text " * 100, "unknown-container"),
    "empty": ("empty.mp4", b"", "unreadable-source"),
    "a raw stream": ("raw.h264", b"\0\0\0\1\x67", "unknown-container"),
}


@pytest.mark.parametrize(("name", "content", "id_"), REFUSALS.values(), ids=REFUSALS)
def test_a_refused_source_says_why_as_an_id(name: str, content: bytes, id_: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceRefused) as caught:
        probe(str(tmp_path / name))
    (found,) = caught.value.diagnostics()
    assert (found.id, found.at.file, found.message) == (id_, str(tmp_path / name), caught.value.what)


def test_a_missing_source_and_one_beyond_a_limit(tmp_path: Path) -> None:
    with pytest.raises(SourceRefused) as caught:
        probe(str(tmp_path / "none.mp4"))
    assert caught.value.diagnostics()[0].id == "missing-source"
    with pytest.raises(SourceRefused) as caught:
        probe(str(FIXTURES / "landscape-24.mp4"), limits=SourceLimits(max_pixels=100, max_duration=1))
    found = caught.value.diagnostics()
    assert [each.id for each in found] == ["limit-exceeded"] * 2
    assert tuple(each.message for each in found) == caught.value.details
    assert all(each.advice == caught.value.fix for each in found)


# -- the documentation


def documented() -> list[str]:
    text = (ROOT / "docs" / "diagnostics.md").read_text(encoding="utf-8")
    tables = text[text.index("## Findings about a source") :]
    return re.findall(r"^\| `([a-z-]+)` \|", tables, re.MULTILINE)


def in_code() -> Iterator[str]:
    """Yield every id that a module makes: of a finding, a problem of a source, an error, a diagnostic."""
    for path in (ROOT / "vidpipe").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.AnnAssign(target=ast.Name("id"), value=ast.Constant(str(id_))) | ast.Assign(
                    targets=[ast.Name("id")], value=ast.Constant(str(id_))
                ):
                    yield id_
                case ast.Call(func=ast.Name("found"), args=[_, ast.Constant(str(id_)), *_]):
                    yield id_
                case ast.Call(func=ast.Name("Problem"), args=[ast.Constant(str(id_)), *_]):
                    yield id_
                case ast.Call(func=ast.Name("_foreign"), args=[_, ast.Constant(str(id_)), *_]):
                    yield id_
                case ast.Call(func=ast.Name(name), keywords=keywords) if name != "element":  # of XML
                    yield from (str(each.value.value) for each in keywords if each.arg == "id" and isinstance(each.value, ast.Constant))


def test_every_id_has_one_line_in_the_documentation() -> None:
    known = documented()
    assert len(known) == len(set(known)), "each id once"
    ids = set(in_code()) - {""}  # of a query: it asks for none
    assert set(IDS) <= ids, "the search finds all findings"
    assert {"missing-index", "missing-source", "undecodable-source", "fetch-failed", "output-closed", "bug"} <= ids, "and the others"
    assert ids == set(known)


def test_the_documented_keys_are_those_that_are_written() -> None:
    text = (ROOT / "docs" / "diagnostics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[^|]+`) \| ", text[: text.index("## With")], re.MULTILINE)
    assert [key for row in rows for key in re.findall(r"`(\w+)`", row)] == list(report(GAP))


def test_exit_codes_are_those_of_the_classes() -> None:
    text = (ROOT / "docs" / "diagnostics.md").read_text(encoding="utf-8")
    rows = {id_: int(code) for id_, code in re.findall(r"^\| `([a-z-]+)` \| (\d+) \|", text, re.MULTILINE)}
    for kind in (*VidpipeError.__subclasses__(), VidpipeError):
        if kind is not SourceRefused:
            assert rows[kind.id] == kind.exit_code


def test_the_example_in_the_documentation_is_one() -> None:
    text = (ROOT / "docs" / "diagnostics.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^    (\{\"format\".*?\}\]\}\})$", text, re.MULTILINE | re.DOTALL)
    value = json.loads(re.sub(r"\n\s+", " ", example))
    assert list(value["error"]["diagnostics"][0]) == list(report(GAP))
