"""YAML that people write is read strictly, and refused with its file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from vidpipe.errors import UsageError
from vidpipe.strict_yaml import LONGEST, Table, read_file, read_table

KEYS = ("name", "size", "parts")


def read(text: str) -> Table:
    table = read_table(text, "a.yaml", "list", KEYS)
    assert table is not None
    return table


def refused(text: str) -> str:
    """Return where and why the text is refused."""
    with pytest.raises(UsageError) as error:
        sizes(text)
    return "\n".join(error.value.lines())


def sizes(text: str) -> list[int | None]:
    """Read everything there is."""
    table = read(text)
    parts = table.tables("parts", "part {}", KEYS, 2) if "parts" in table else []
    found = [each.get("size", int, "a number") for each in (*parts, table)]
    table.mistakes.check()
    return found


def mistakes(text: str) -> list[tuple[int | None, str]]:
    """Return the lines of everything that is wrong, and what is."""
    with pytest.raises(UsageError) as error:
        sizes(text)
    return [(each.at.line, each.message) for each in error.value.diagnostics()]


def test_nothing_is_converted() -> None:
    table = read("name: off\nsize: 010\n")
    assert (table.get("name", str, "text"), table.get("size", str, "text")) == ("off", "010")
    assert list(table) == ["name", "size"]
    assert table.line("size") == 2


def test_no_table_where_nothing_is_said() -> None:
    assert read_table("# a comment\n", "a.yaml", "list", KEYS) is None


@pytest.mark.parametrize(
    ("text", "message"),
    {
        "unknown key": ("name: a\nsiez: 1\n", "a.yaml:2: unknown key 'siez' in the list"),
        "twice": ("size: 1\nname: a\nsize: 2\n", "a.yaml:3: the key 'size' is given twice in the list"),
        "twice in another form": ('size: 1\n"size": 2\n', "a.yaml:2: the key 'size' is given twice in the list"),
        "twice below": ("size: 1\nparts:\n  - size: 2\n    size: 3\n", "a.yaml:4: the key 'size' is given twice in part 1"),
        "merged": ("size: 1\nparts:\n  - &a {size: 1}\n  - <<: *a\n", "a.yaml: 2 mistakes\na.yaml:4: unknown key '<<' in part 2"),
        "a mapping as a key": ("? {size: 1}\n: 2\n", "a.yaml: 2 mistakes\na.yaml:1: unknown key '?' in the list"),
        "no mapping": ("- 1\n", "a.yaml:1: the list must be a mapping of keys"),
        "no value": ("name: a\nsize:\n", "a.yaml:2: size of the list is ''"),
        "a list for a value": ("size: [1]\n", "a.yaml:1: size of the list is a list or mapping"),
        "another value": ("size: many\n", "a.yaml:1: size of the list is 'many'"),
        "missing": ("name: a\n", "a.yaml:1: the list has no 'size'"),
        "no list": ("size: 1\nparts: 3\n", "a.yaml:2: parts of the list is not a list of 1 to 2 entries"),
        "a long list": ("size: 1\nparts: [{}, {}, {}]\n", "a.yaml:2: parts of the list is not a list of 1 to 2 entries"),
        "a tab": ("name: a\n\tsize: 1\n", "a.yaml:2: is not YAML: "),
        "not closed": ("size: [\n", "a.yaml:2: is not YAML: "),
        "two documents": ("size: 1\n---\nsize: 2\n", "a.yaml:2: is not YAML: but found another document"),
        "control characters": ("size: \x07\n", "a.yaml: is not YAML: "),
        "an unknown anchor": ("name: a\nsize: *x\n", "a.yaml:2: is not YAML: found undefined alias 'x'"),
        "an alias of itself": ("size: 1\nparts: &x [*x]\n", "a.yaml:2: "),
        "too many brackets": ("size: " + "[" * 5000, "a.yaml: has 5000 opening brackets, too many for a list"),
        "too deep": ("size: 1\nparts:\n  " + "- " * 5000, "a.yaml: is not YAML: "),
    }.values(),
)
def test_what_is_wrong_is_said_with_its_line(text: str, message: str) -> None:
    assert refused(text).startswith(message)


def test_everything_that_is_wrong_is_said_at_once_by_line() -> None:
    text = "nam: a\nparts:\n  - size: one\n    colour: red\n  - 3\nsize: 1\nsize: 2\n"
    assert mistakes(text) == [
        (1, "unknown key 'nam' in the list"),
        (3, "size of part 1 is 'one'"),
        (4, "unknown key 'colour' in part 1"),
        (5, "part 2 must be a mapping of keys"),
        (7, "the key 'size' is given twice in the list"),
    ]
    assert refused(text).splitlines()[:3] == ["a.yaml: 5 mistakes", "a.yaml:1: unknown key 'nam' in the list", "  fix: did you mean name?"]


def test_the_value_of_a_misspelt_key_is_checked_and_the_key_is_not_missing() -> None:
    assert mistakes("siez: many\n") == [(1, "unknown key 'siez' in the list"), (1, "size of the list is 'many'")]
    assert mistakes("siez: many\nsize: 1\n") == [(1, "unknown key 'siez' in the list")]


def test_what_a_key_was_called_once_is_refused_with_its_name() -> None:
    table = read_table("length: 3\n", "a.yaml", "list", KEYS, renamed={"length": "size"})
    assert table is not None
    with pytest.raises(UsageError, match="unknown key 'length'") as error:
        table.mistakes.check()
    assert error.value.fix == "it is now size"


def test_an_alias_is_what_its_anchor_names() -> None:
    assert sizes("size: &size 3\nparts:\n  - &part {size: *size}\n  - *part\n") == [3, 3, 3]


def test_aliases_that_multiply_cost_nothing() -> None:
    lines = ["name: &a0 [x, x]", *(f"size: &a{n} [{', '.join(f'*a{n - 1}' for _ in range(9))}]" for n in range(1, 60))]
    first, second, *_ = mistakes("\n".join(lines))
    assert (first, second) == ((2, "size of the list is a list or mapping"), (3, "the key 'size' is given twice in the list"))


def test_files_that_cannot_be_text_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    with pytest.raises(UsageError, match=r"a\.yaml: cannot be read: No such file"):
        read_file(file, "list")
    file.write_bytes(b"x" * (LONGEST + 1))
    with pytest.raises(UsageError, match=rf"a\.yaml: is {LONGEST + 1} bytes long, too long for a list"):
        read_file(file, "list")
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"a\.yaml: is not UTF-8 text"):
        read_file(file, "list")


def test_another_word_is_suggested() -> None:
    table = read("name: biger\nsize: x265\n")
    table.choice("name", ("bigger", "smaller"))
    table.choice("size", ("hevc", "av1"), {"x265": "hevc"}.get)
    with pytest.raises(UsageError) as error:
        table.mistakes.check()
    assert [each.advice for each in error.value.diagnostics()] == [
        "did you mean bigger? (name is one of: bigger, smaller)",
        "did you mean hevc? (size is one of: hevc, av1)",
    ]
