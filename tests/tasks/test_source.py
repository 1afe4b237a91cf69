"""Files, folders and hub names: read exactly, or refused with file and line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forgetless.errors import DataError
from forgetless.tasks import files
from forgetless.tasks.files import quiet_datasets
from forgetless.tasks.parsing import from_json, scan, to_json
from forgetless.tasks.row import Row, Turn
from forgetless.tasks.source import Selected, read_source
from tests.tasks.conftest import Write

ROW = '{"prompt": "Sky?", "completion": "blue"}\n'


def rows(source: str, fields: dict[str, str] | None = None, split: str = "train") -> list[Row]:
    return list(read_source(source, fields=fields or {}, split=split))


def exchanges(source: str, fields: dict[str, str] | None = None) -> list[tuple[str, str]]:
    return [(row.prompt[-1].content, row.answer) for row in rows(source, fields)]


def refusal(source: str, fields: dict[str, str] | None = None) -> DataError:
    with pytest.raises(DataError) as caught:
        rows(source, fields)
    return caught.value


def write_parquet(file: Path, records: list[dict[str, Any]]) -> None:
    import datasets

    with file.open("wb") as opened:
        datasets.Dataset.from_list(records).to_parquet(opened)


# What is read


def test_jsonl_has_one_row_a_line(write: Write) -> None:
    source = write("a.jsonl", ROW + '{"completion": "green", "prompt": "Grass?"}')
    assert exchanges(source) == [("Sky?", "blue"), ("Grass?", "green")]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + ROW.encode() * 2,
        ROW.replace("\n", "\r\n") * 2,
        f"\n{ROW}  \n\n{ROW}\n",
        ROW + ROW.strip(),
    ],
    ids=["BOM", "CRLF", "blank lines", "no last line end"],
)
def test_marks_line_ends_and_blank_lines_make_no_difference(
    write: Write, content: str | bytes
) -> None:
    assert exchanges(write("a.jsonl", content)) == [("Sky?", "blue")] * 2


@pytest.mark.parametrize(
    "content",
    [f"[{ROW},{ROW}]", ROW + ROW, json.dumps([json.loads(ROW)] * 2, indent=1)],
    ids=["list", "lines", "indented list"],
)
def test_json_may_be_a_list_or_lines(write: Write, content: str) -> None:
    assert exchanges(write("a.json", content)) == [("Sky?", "blue")] * 2


def test_json_may_be_a_single_object(write: Write) -> None:
    assert exchanges(write("a.json", '{\n"prompt": "Sky?",\n"completion": "blue"\n}')) == [
        ("Sky?", "blue")
    ]


def test_csv_cells_may_hold_commas_quotes_and_line_breaks(write: Write) -> None:
    source = write("a.csv", 'prompt,completion\r\n"a, ""b""\nc",d\r\n\r\ne,f\r\n')
    assert exchanges(source) == [('a, "b"\nc', "d"), ("e", "f")]


@pytest.mark.parametrize("cell", ["007", "1.50", "True", "None", "NA", "null", "nan", "2020-01-01"])
def test_a_csv_cell_stays_the_text_it_is(write: Write, cell: str) -> None:
    assert exchanges(write("a.csv", f"prompt,completion\n{cell},{cell}\n")) == [(cell, cell)]


@pytest.mark.parametrize("text", ["2020-01-01", "2020-01-01T00:00:00Z", "12:30", "007", "1e5"])
def test_json_text_that_looks_like_a_date_or_number_stays_text(write: Write, text: str) -> None:
    source = write("a.jsonl", json.dumps({"prompt": text, "completion": text}) + "\n")
    assert exchanges(source) == [(text, text)]


@pytest.mark.parametrize("number", ["3", "2.50", "1e2", str(10**30), "-0"])
def test_a_json_number_becomes_the_text_it_was_written_as(write: Write, number: str) -> None:
    source = write("a.jsonl", f'{{"prompt": "n?", "completion": {number}}}\n')
    assert exchanges(source) == [("n?", number.replace("-0", "0"))]


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv"])
@pytest.mark.parametrize(
    ("choices", "answer", "right"),
    [
        ("[1.0, 2.0, 3.0]", "1", "1.0"),
        ("[0.5, 1.50]", "1.5", "1.50"),
        ("[0.5, 1.5]", "0.50", "0.5"),
        ("[1e3, 2e3, 3e3]", "1000", "1e3"),
        ("[-0.5, 1, 2]", "1", "1"),
    ],
)
def test_choices_with_a_point_are_numbers_in_every_kind_of_text_file(
    write: Write, ending: str, choices: str, answer: str, right: str
) -> None:
    record = f'{{"question": "q?", "choices": {choices}, "answer": {answer}}}\n'
    if ending == "csv":
        record = f'question,choices,answer\nq?,"{choices}",{answer}\n'
    (row,) = rows(write(f"a.{ending}", record))
    assert row.answer == right
    assert row.choices == tuple(choices.strip("[]").split(", "))


def test_a_text_that_looks_like_a_marked_number_stays_text(write: Write) -> None:
    text = '{"\\u0000": "1.5"}'
    source = write("a.jsonl", json.dumps({"prompt": text, "completion": "1.5", "n": 1.5}) + "\n")
    assert exchanges(source) == [(text, "1.5")]


@pytest.mark.parametrize("value", ["-", "1.5", "1.2.3"])
def test_a_key_of_a_nul_character_in_a_field_that_is_not_read_changes_nothing(
    write: Write, value: str
) -> None:
    record = {"prompt": "a", "completion": "b", "meta": {"\0": value}}
    source = write("a.jsonl", json.dumps(record) + "\n")
    assert exchanges(source) == [("a", "b")]
    assert from_json(to_json(record)) == record


def test_a_record_may_be_nested_as_deeply_as_is_told(write: Write) -> None:
    deep = "[" * 99 + "1.5" + "]" * 99
    source = write("a.jsonl", f'{{"prompt": "a", "completion": "b", "meta": {deep}}}\n')
    assert exchanges(source) == [("a", "b")]


def test_rows_of_different_types_and_extra_fields_go_together(write: Write) -> None:
    lines = [
        {"prompt": "a", "completion": 3},
        {"prompt": [{"role": "user", "content": "b"}], "completion": "x", "meta": {"k": [1]}},
        {"prompt": "c", "completion": "y", "meta": "text", "aliases": ["z"]},
    ]
    source = write("a.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    assert exchanges(source) == [("a", "3"), ("b", "x"), ("c", "y")]
    assert [row.aliases for row in rows(source)] == [(), (), ("z",)]


def test_parquet_is_read_like_the_same_rows_in_jsonl(write: Write, tmp_path: Path) -> None:
    records: list[dict[str, Any]] = [
        {"question": "Sky?", "choices": ["blue", "green"], "answer": 0, "id": "s"},
        {"question": "Grass?", "choices": ["red", "green"], "answer": 1, "id": "g"},
    ]
    write_parquet(tmp_path / "a.PARQUET", records)
    source = write("a.jsonl", "".join(json.dumps(record) + "\n" for record in records))
    assert rows(str(tmp_path / "a.PARQUET")) == rows(source)


def test_the_ending_of_a_file_may_be_in_capitals(write: Write) -> None:
    assert exchanges(write("a.JSONL", ROW)) == [("Sky?", "blue")]


def test_a_folder_is_all_its_files_in_order_of_their_names(write: Write, tmp_path: Path) -> None:
    for name in ("b", "sub/c", "a"):
        write(f"d/{name}.jsonl", json.dumps({"prompt": name, "completion": "x"}) + "\n")
    write("d/.hidden.jsonl", ROW)
    write("d/.cache/e.jsonl", ROW)
    write("d/README.md", "not data")
    assert [asked for asked, _ in exchanges(str(tmp_path / "d"))] == ["a", "b", "sub/c"]


def test_a_row_without_an_id_is_named_by_its_position_in_the_source(
    write: Write, tmp_path: Path
) -> None:
    write("d/a.jsonl", ROW * 2)
    write("d/b.jsonl", ROW)
    assert [row.id for row in rows(str(tmp_path / "d"))] == ["0", "1", "2"]


def test_bundled_rows_come_by_name_and_split() -> None:
    train, test = (rows("bundled:legal_facts", split=split) for split in ("train", "test"))
    assert not train[0].choices
    assert len(test[0].choices) == 4


# Field mapping


def test_fields_map_our_names_to_those_of_the_file(write: Write) -> None:
    source = write("a.csv", "q,a,also\nSky?,blue,azure|cyan\n")
    (row,) = rows(source, {"prompt": "q", "completion": "a", "aliases": "also"})
    assert row == Row("0", (Turn("user", "Sky?"),), "blue", ("azure", "cyan"))


def test_fields_may_swap_names(write: Write) -> None:
    source = write("a.csv", "prompt,completion\nblue,Sky?\n")
    assert exchanges(source, {"prompt": "completion", "completion": "prompt"}) == [("Sky?", "blue")]


def test_a_column_mapped_to_another_field_no_longer_has_its_own_name(write: Write) -> None:
    source = write("a.csv", "messages,id\nSky?,blue\n")
    (row,) = rows(source, {"prompt": "messages", "completion": "id"})
    assert row == Row("0", (Turn("user", "Sky?"),), "blue")


def test_one_column_may_serve_two_fields(write: Write) -> None:
    source = write("a.csv", "q,a\nSky?,blue\n")
    (row,) = rows(source, {"id": "q", "prompt": "q", "completion": "a"})
    assert (row.id, row.prompt[0].content) == ("Sky?", "Sky?")


def test_a_mapping_of_a_name_that_is_not_ours_is_refused(write: Write) -> None:
    source = write("a.jsonl", ROW)
    error = refusal(source, {"promt": "prompt"})
    assert error.message == f"{source}: fields maps 'promt', which is not one of our field names"
    assert error.fix == (
        "write {ours: theirs}; ours are messages, conversations, question, choices, answer, "
        "prompt, completion, instruction, input, output, history, text, aliases, id, group, system"
    )


def test_a_mapping_to_a_column_that_is_not_there_is_refused(write: Write) -> None:
    source = write("a.jsonl", ROW)
    error = refusal(source, {"prompt": "q"})
    assert error.message == f"{source}: fields names the column 'q', which is not there"
    assert error.fix == "its columns are completion, prompt"


# What is refused


def test_a_malformed_row_is_named_by_file_and_line(write: Write) -> None:
    source = write("a.jsonl", f'{ROW}\n\n{{"prompt": "x"}}\n')
    error = refusal(source)
    assert error.message == f"{source}:4: no 'completion' (found: prompt)"
    assert error.fix == "mend or delete that row"


def test_a_malformed_row_of_a_folder_is_named_by_its_own_file(write: Write, tmp_path: Path) -> None:
    write("d/a.jsonl", ROW * 2)
    bad = write("d/b.jsonl", ROW + '{"prompt": "x", "completion": ""}\n')
    assert refusal(str(tmp_path / "d")).message == f"{bad}:2: 'completion' is empty"


def test_a_malformed_csv_row_is_named_by_the_line_where_it_begins(write: Write) -> None:
    source = write("a.csv", 'prompt,completion\n"two\nlines",b\nx,\n')
    assert refusal(source).message == f"{source}:4: no 'completion' (found: prompt)"


def test_a_torn_row_is_named_by_its_own_line(write: Write) -> None:
    source = write("a.jsonl", f'{ROW}{{"prompt": 3\n')
    assert refusal(source).message.startswith(f"{source}:2: not valid JSON")


def test_a_malformed_row_of_a_json_list_is_named_by_its_number(write: Write) -> None:
    source = write("a.json", f'[{ROW},{{"prompt": "x"}}]')
    assert refusal(source).message == f"{source}:row 2: no 'completion' (found: prompt)"


def test_a_malformed_parquet_row_is_named_by_its_number(tmp_path: Path) -> None:
    source = tmp_path / "a.parquet"
    records: list[dict[str, Any]] = [
        {"prompt": "a", "completion": "x"},
        {"prompt": "b", "completion": None},
    ]
    write_parquet(source, records)
    assert refusal(str(source)).message == f"{source}:row 2: no 'completion' (found: prompt)"


NEEDED = 'needed an object such as {"prompt": "...", "completion": "..."}'


@pytest.mark.parametrize(
    ("name", "content", "message", "fix"),
    [
        ("a.jsonl", "", ": the file is empty, needed at least one row", None),
        ("a.jsonl", "\n \n", ": no rows, needed at least one", None),
        ("a.json", " \n", ": no rows, needed at least one", None),
        ("a.json", "[]", ": no rows, needed at least one", None),
        ("a.csv", "prompt,completion\n", ": no rows, needed at least one", None),
        ("a.csv", "\n\n", ": no rows, needed at least one", None),
        ("a.jsonl", ROW + "{'prompt': 1}\n", ":2: not valid JSON: Expecting property name enclosed "
         "in double quotes", "mend or delete that line"),
        ("a.jsonl", ROW * 2 + ROW[:-3], ":3: not valid JSON: Unterminated string starting at",
         "mend or delete that line"),
        ("a.jsonl", ROW + ROW.strip() * 2, ":2: not valid JSON: Extra data",
         "mend or delete that line"),
        ("a.jsonl", '{"prompt": NaN, "completion": "b"}', ":1: not valid JSON: found NaN",
         "mend or delete that line"),
        ("a.jsonl", '{"prompt": "a", "prompt": "b"}', ":1: not valid JSON: found the key 'prompt' "
         "twice", "mend or delete that line"),
        ("a.jsonl", ROW + '{"prompt": "\\ud800", "completion": "b"}', ":2: not valid JSON: half of "
         "a surrogate pair", "mend or delete that line"),
        ("a.jsonl", '{"text": ' + "[" * 90_000, ":1: not valid JSON: nested too deeply",
         "mend or delete that line"),
        ("a.jsonl", f'{ROW}{{"text": "a", "meta": {"[" * 600}1.5{"]" * 600}}}\n',
         ":2: nested too deeply; needed at most 100 objects and lists in one another",
         "mend or delete that row"),
        ("a.json", f'[\n{ROW},{{"text": "a", "meta": {"[" * 100}{"]" * 100}}}]',
         ":row 2: nested too deeply; needed at most 100 objects and lists in one another",
         "mend or delete that row"),
        ("a.jsonl", f"{ROW}7\n", f":2: found int, {NEEDED}", None),
        ("a.jsonl", "[]", f":1: found list, {NEEDED}", "a file that is one list is named .json"),
        ("a.json", '["a"]', f":row 1: found str, {NEEDED}", None),
        ("a.json", '[\n{"text": "a"},\n{"text": }\n]', ":3: not valid JSON: Expecting value",
         "mend or delete that line"),
        ("a.jsonl", ROW.encode() + b'{"text": "\xff"}\n', ":2: not UTF-8 text (invalid start byte)",
         "save the file as UTF-8"),
        ("a.csv", b"prompt,completion\n\nx,\xe4\n", ":3: not UTF-8 text (invalid continuation "
         "byte)", "save the file as UTF-8"),
        ("a.csv", "prompt,completion\n".encode("utf-16"), ":1: not UTF-8 text (invalid start byte)",
         "save the file as UTF-8"),
        ("a.jsonl", ROW.encode() + b'{"text": "a\0"}\n', ":2: a NUL byte; needed text", None),
        ("a.jsonl", '{"text": "a\\u0000"}\n', ":1: 'text' contains a NUL character",
         "mend or delete that row"),
        ("a.csv", "prompt,completion\na,b,c\n", ":2: found 3, needed 2 cells as in the first line",
         'put text that contains a comma in quotes: "a, b"'),
        ("a.csv", "prompt,completion\na,b\n\nc\n", ":4: found 1, needed 2 cells as in the first "
         "line", 'put text that contains a comma in quotes: "a, b"'),
        ("a.csv", "prompt,prompt\na,b\n", ":1: the column 'prompt' stands there twice",
         "rename one of the two"),
        ("a.csv", 'prompt,completion\n"a,b\nc,d\n', ":2: not valid CSV: a quote is never closed",
         "mend that row, or save the table as JSONL"),
        ("a.csv", 'prompt,completion\n"a" b,c\n', ":2: not valid CSV: ',' expected after '\"'",
         "mend that row, or save the table as JSONL"),
        ("a.csv", 'prompt,completion\n"a,b\nc,d\n"e",f\n', ":2: not valid CSV: ',' expected after "
         "'\"' in line 4; is a quote not closed?", "mend that row, or save the table as JSONL"),
        ("a.txt", "x", ": found .txt; needed files of one kind out of .jsonl, .json, .csv, "
         ".parquet", None),
        ("a", "x", ": found no ending; needed files of one kind out of .jsonl, .json, .csv, "
         ".parquet", None),
        ("a.csv", "q,a\nx,y\n", ": found the columns a, q; needed messages; conversations; "
         "question, choices and answer; prompt and completion; instruction and output; question "
         "and answer; or text",
         "say which is which:  --fields prompt=your_column,completion=another  (in a plan:  "
         "fields: {prompt: your_column, completion: another})"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_refused_with_place_and_remedy(
    write: Write, name: str, content: str | bytes, message: str, fix: str | None
) -> None:
    source = write(name, content)
    error = refusal(source)
    assert error.message == source + message
    assert error.fix == fix


def test_a_cell_may_be_as_long_as_a_book(write: Write) -> None:
    (row,) = rows(write("a.csv", 'text\n"' + "word " * 30_000 + '"\n'))
    assert len(row.answer) == 150_000


def test_a_quote_that_nothing_closes_is_told_before_all_is_read(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forgetless.tasks.parsing.LONGEST_CELL", 1000)
    source = write("a.csv", 'text\n"a\n' + "word\n" * 1000)
    reason = "not valid CSV: a cell of over 1,000 characters; is a quote not closed?"
    assert refusal(source).message == f"{source}:2: {reason}"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    error = refusal(str(tmp_path / "none.jsonl"))
    assert error.message == f"{tmp_path / 'none.jsonl'}: no such file"
    assert error.fix == f"check the path; {tmp_path} holds nothing of a name like it"


def test_a_missing_file_is_told_of_what_may_be_meant_or_where_it_was_looked_for(
    tmp_path: Path,
) -> None:
    (tmp_path / "recipes.csv").write_text("question,answer\na,b\n")
    assert refusal(str(tmp_path / "recipe.csv")).fix == f"did you mean {tmp_path / 'recipes.csv'}?"
    nowhere = tmp_path / "nowhere"
    assert refusal(str(nowhere / "a.csv")).fix == f"check the path; there is no folder {nowhere}"


def test_a_missing_name_that_may_be_of_the_hub_is_told_how_to_say_so() -> None:
    error = refusal("org/name")
    assert error.fix == "check the path; a dataset of the hub is named  hub:org/name"


def test_a_hub_dataset_that_cannot_be_had_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def fail(name: str, split: str) -> None:
        raise ConnectionError(f"no network for {name}\nmore")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    error = refusal("hub:org/name")
    assert error.message == (
        "hub dataset 'org/name', split 'train', cannot be loaded: no network for org/name"
    )
    assert error.fix is not None


def test_a_hub_dataset_gives_the_rows_of_its_split(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def give(name: str, split: str) -> Any:
        return datasets.Dataset.from_dict({"prompt": [name], "completion": [split]})

    monkeypatch.setattr(datasets, "load_dataset", give)
    (row,) = rows("hub:org/name", split="validation")
    assert (row.prompt[0].content, row.answer) == ("org/name", "validation")


def test_a_hub_dataset_is_taken_at_the_revision_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def give(name: str, split: str, revision: str) -> Any:
        return datasets.Dataset.from_dict({"prompt": [name], "completion": [revision]})

    monkeypatch.setattr(datasets, "load_dataset", give)
    (row,) = rows("hub:org/name@v2")
    assert (row.prompt[0].content, row.answer) == ("org/name", "v2")


def test_a_hub_dataset_without_rows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def give(name: str, split: str) -> Any:
        return datasets.Dataset.from_dict({"prompt": [], "completion": []})

    monkeypatch.setattr(datasets, "load_dataset", give)
    assert refusal("hub:org/name").message == "hub:org/name: no rows, needed at least one"


def test_a_folder_of_too_many_files_is_refused_before_all_are_looked_at(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.jsonl", "b.txt", "c.txt"):
        write(f"d/{name}", ROW)
    monkeypatch.setattr(files, "MOST_FILES", 3)
    assert len(rows(str(tmp_path / "d"))) == 1
    monkeypatch.setattr(files, "MOST_FILES", 2)
    error = refusal(str(tmp_path / "d"))
    assert error.message == f"{tmp_path / 'd'}: the folder holds more than 2 files"
    assert error.fix == "name the folder, or the file, that holds the rows alone"


def test_a_folder_without_data_is_refused(write: Write, tmp_path: Path) -> None:
    write("d/README.md", "x")
    assert refusal(str(tmp_path / "d")).message == (
        f"{tmp_path / 'd'}: the folder has no .jsonl, .json, .csv, .parquet file"
    )


def test_a_folder_of_several_kinds_is_refused(write: Write, tmp_path: Path) -> None:
    write("d/a.jsonl", ROW)
    write("d/b.csv", "prompt,completion\na,b\n")
    assert refusal(str(tmp_path / "d")).message == (
        f"{tmp_path / 'd'}: found .csv, .jsonl; needed files of one kind out of "
        ".jsonl, .json, .csv, .parquet"
    )


def test_an_empty_file_in_a_folder_is_named(write: Write, tmp_path: Path) -> None:
    write("d/a.jsonl", ROW)
    empty = write("d/b.jsonl", "")
    expected = f"{empty}: the file is empty, needed at least one row"
    assert refusal(str(tmp_path / "d")).message == expected


def test_a_file_that_is_no_parquet_is_refused(write: Write) -> None:
    source = write("a.parquet", "not parquet at all")
    assert refusal(source).message.startswith(f"{source}: cannot be read: Parquet magic bytes")


def damaged_parquet(tmp_path: Path) -> str:
    file = tmp_path / "damaged.parquet"
    write_parquet(file, [{"prompt": "a", "completion": "b"}] * 50)
    content = file.read_bytes()
    file.write_bytes(content[:8] + b"\xff" * 20 + content[28:])
    return str(file)


def test_a_parquet_file_damaged_within_is_refused(tmp_path: Path) -> None:
    source = damaged_parquet(tmp_path)
    assert refusal(source).message.startswith(f"{source}: cannot be read: Couldn't deserialize")


def test_a_file_that_cannot_be_opened_is_refused(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write("a.jsonl", ROW)

    def refuse(self: Path, *args: Any, **kwargs: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    assert refusal(source).message == f"{source}: cannot be read: Permission denied"


def test_a_source_longer_than_any_path_is_refused() -> None:
    assert refusal("x" * 5000).message.endswith("cannot be read: File name too long")


# The cache


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
def test_an_edited_file_of_the_same_date_and_size_is_read_anew(write: Write, name: str) -> None:
    content = "prompt,completion\nSky?,blue\n" if name.endswith("csv") else ROW
    source = write(name, content)
    os.utime(source, (1_000_000_000, 1_000_000_000))
    before = rows(source)
    write(name, content.replace("blue", "grey"))
    os.utime(source, (1_000_000_000, 1_000_000_000))
    assert [row.answer for row in before + rows(source)] == ["blue", "grey"]


def test_an_edited_parquet_file_of_the_same_date_is_read_anew(tmp_path: Path) -> None:
    found = []
    for answer in ("blue", "grey"):
        write_parquet(tmp_path / "a.parquet", [{"prompt": "a", "completion": answer}])
        os.utime(tmp_path / "a.parquet", (1_000_000_000, 1_000_000_000))
        found += rows(str(tmp_path / "a.parquet"))
    assert [row.answer for row in found] == ["blue", "grey"]


def test_a_file_read_twice_gives_the_same_rows(write: Write) -> None:
    source = write("a.jsonl", ROW * 3)
    assert rows(source) == rows(source)


def test_rows_already_open_do_not_change_with_the_file(write: Write) -> None:
    opened = read_source(write("a.jsonl", ROW), fields={}, split="train")
    write("a.jsonl", ROW.replace("blue", "grey"))
    assert opened[0].answer == "blue"


def test_files_of_the_same_content_are_told_apart(write: Write) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        source = write(name, '{"prompt": "x", "completion": ""}\n')
        assert refusal(source).message == f"{source}:1: 'completion' is empty"


def test_records_are_kept_where_the_environment_says(write: Write, tmp_path: Path) -> None:
    source = write("a.jsonl", ROW)
    code = (
        "from forgetless.tasks.source import read_source;"
        f"print(read_source({source!r}, fields={{}}, split='train')[0].answer)"
    )
    cache = tmp_path / "cache"
    environment = os.environ | {"HF_DATASETS_CACHE": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("blue\n", "")
    assert list(cache.rglob("*.arrow"))


def test_a_cache_that_cannot_be_written_is_named(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    blocked = Path(write("blocked", "a file, not a folder"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", blocked)
    source = write("a.jsonl", ROW)
    error = refusal(source)
    assert error.message.startswith(f"{source}: cannot be kept in {blocked}: ")
    assert error.fix == "set HF_DATASETS_CACHE to a folder with room that can be written"


def test_a_cache_that_cannot_take_a_parquet_file_is_named(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    blocked = Path(write("blocked", "a file, not a folder"))
    file = tmp_path / "a.parquet"
    write_parquet(file, [{"prompt": "a", "completion": "b"}])
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", blocked)
    error = refusal(str(file))
    assert error.message.startswith(f"{file}: cannot be kept in {blocked}: ")
    assert error.fix == "set HF_DATASETS_CACHE to a folder with room that can be written"


def test_reading_writes_nothing_on_the_terminal(
    write: Write, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    damaged = damaged_parquet(tmp_path)
    capfd.readouterr()
    rows(write("a.jsonl", ROW))
    refusal(damaged)
    assert capfd.readouterr() == ("", "")


def test_the_library_is_as_talkative_after_reading_as_before() -> None:
    import datasets

    def talk() -> tuple[int, bool]:
        return datasets.logging.get_verbosity(), datasets.are_progress_bars_disabled()

    before = talk()
    with quiet_datasets():
        assert talk() == (datasets.logging.CRITICAL, True)
    assert talk() == before == (datasets.logging.WARNING, False)


# Sequences


def test_rows_are_counted_indexed_and_sliced_like_a_list(write: Write) -> None:
    source = write("a.jsonl", "".join(f'{{"text": "t{n}"}}\n' for n in range(5)))
    opened = read_source(source, fields={}, split="train")
    answers = [f"t{n}" for n in range(5)]
    assert len(opened) == 5
    assert [opened[n].answer for n in range(-5, 5)] == answers * 2
    assert opened[-1].id == "4"
    for part in (slice(1, 4), slice(None, None, 2), slice(-2, None), slice(9, None)):
        assert [row.answer for row in opened[part]] == answers[part]
    assert [row.answer for row in opened[1:][1:3]] == answers[2:4]
    with pytest.raises(IndexError):
        opened[5]
    with pytest.raises(IndexError):
        opened[-6]


def test_selected_rows_keep_the_order_of_the_selection(write: Write) -> None:
    opened = rows(write("a.jsonl", "".join(f'{{"text": "t{n}"}}\n' for n in range(5))))
    chosen = Selected(opened, [3, 1, 4])
    assert [row.answer for row in chosen] == ["t3", "t1", "t4"]
    assert [row.answer for row in chosen[1:]] == ["t1", "t4"]


TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8")).filter(str.strip)
TABLES = st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=8)
QUICKLY = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@QUICKLY
@given(table=TABLES, escape=st.booleans())
def test_any_texts_written_as_jsonl_are_read_back_exactly(
    write: Write, table: list[tuple[str, str]], escape: bool
) -> None:
    lines = [
        json.dumps({"prompt": prompt, "completion": completion}, ensure_ascii=escape) + "\n"
        for prompt, completion in table
    ]
    assert exchanges(write("a.jsonl", "".join(lines))) == table


@QUICKLY
@given(table=TABLES)
def test_any_texts_written_as_csv_are_read_back_exactly(
    write: Write, table: list[tuple[str, str]]
) -> None:
    cells = [[f'"{text.replace(chr(34), chr(34) * 2)}"' for text in row] for row in table]
    content = "prompt,completion\n" + "".join(",".join(row) + "\n" for row in cells)
    assert exchanges(write("a.csv", content)) == table


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="tells which files are open")
@pytest.mark.parametrize(
    ("name", "text"),
    [("a.csv", "a,b\n1,2\n3\n4,5\n"), ("a.jsonl", '{"text": "a"}\n{\n{"text": "b"}\n')],
)
def test_a_file_that_is_refused_is_not_held_open(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    reading = scan([tmp_path / name])
    with pytest.raises(DataError) as refused:
        list(reading)
    assert refused.tb is not None  # whose frames keep what they hold
    opened = [os.path.realpath(held) for held in Path("/proc/self/fd").iterdir()]
    assert str(tmp_path / name) not in opened
