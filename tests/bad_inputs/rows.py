"""Data that cannot be learned from or asked."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from tests.bad_inputs.case import Case, Content, endless

GOOD = "".join(
    json.dumps({"prompt": f"{n} and 1?", "completion": str(n + 1)}) + "\n" for n in range(20)
)
MEND = "mend or delete"
UTF8 = "save the file as UTF-8"
ONE_OF = "nor a letter or an index"


def file(name: str, path: str, content: Content, says: str, fix: str = "") -> Case:
    """A file or folder of training rows, named by the plan."""
    command = f"run plan.yaml --dry-run --set sequence.0.train={path}"
    return Case(f"{path}: {name}", command, says, fix, {path: content})


def line(name: str, text: str | bytes, says: str, fix: str = MEND) -> Case:
    """One line after twenty good ones."""
    content = GOOD.encode() + (text if isinstance(text, bytes) else text.encode()) + b"\n"
    return file(name, "bad.jsonl", content, f"bad.jsonl:21: {says}", fix)


def row(name: str, says: str, **fields: Any) -> Case:
    """One exchange after twenty good ones, with these fields in the place of good ones."""
    record = {"prompt": "a", "completion": "b"} | fields
    return line(name, json.dumps(record), says)


def choice(name: str, says: str, **fields: Any) -> Case:
    """Multiple choice, with these fields in the place of good ones."""
    record = {"question": "q", "choices": ["a", "b"], "answer": "a"} | fields
    text = (json.dumps(record) + "\n") * 20
    return file(f"choice, {name}", "bad.jsonl", text, f"bad.jsonl:1: {says}", MEND)


def parquet(**columns: list[Any]) -> Callable[[Path], None]:
    """A Parquet file with these columns."""

    def make(path: Path) -> None:
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.table(columns), path)

    return make


def torn_parquet(path: Path) -> None:
    parquet(prompt=["a"] * 99, completion=["b"] * 99)(path)
    path.write_bytes(path.read_bytes()[:-30])


def holding(**files: Content) -> Callable[[Path], None]:
    """A folder with files in it; ``__`` stands for the point in a name."""

    def make(path: Path) -> None:
        path.mkdir()
        Case("", "", "", files={n.replace("__", "."): c for n, c in files.items()}).build(path)

    return make


def with_a_name_that_is_no_text(path: Path) -> None:
    path.mkdir()
    Path(os.fsdecode(os.fsencode(path) + b"/\xff.jsonl")).write_text(GOOD + "{}\n")


def in_itself(path: Path) -> None:
    path.mkdir()
    (path / "inner").symlink_to(path)


ROWS = (
    line("torn", '{"prompt": "a", "compl', "not valid JSON"),
    line("two objects", '{"text": "a"} {"text": "b"}', "not valid JSON: Extra data"),
    line("a list", '["a"]', "found list, needed an object", "is named .json"),
    line("a text", '"a"', 'found str, needed an object such as {"prompt"', ""),
    line("null", "null", "found NoneType, needed an object", ""),
    line("an object without fields", "{}", "no 'prompt' (found: nothing)"),
    line("a key twice", '{"prompt": "a", "prompt": "b"}', "not valid JSON: found the key 'prompt'"),
    line("NaN", '{"prompt": "a", "completion": NaN}', "not valid JSON: found NaN"),
    line("infinity", '{"prompt": "a", "completion": -Infinity}', "not valid JSON: found -Inf"),
    line("a number of 5,000 digits", f'{{"text": {"9" * 5000}}}', "not valid JSON: a number of too many digits"),
    line("nested without end", '{"text": ' + "[" * 90_000, "not valid JSON: nested too deeply"),
    line("a NUL byte", b'{"prompt": "a\0", "completion": "b"}', "a NUL byte; needed text", ""),
    line("an escaped NUL", '{"prompt": "a\\u0000", "completion": "b"}', "'prompt' contains a NUL char"),
    line("invalid UTF-8", b'{"prompt": "\xff", "completion": "b"}', "not UTF-8 text", UTF8),
    line("half a surrogate pair", '{"prompt": "\\udc80"}', "not valid JSON: half of a surrogate pair"),
    line("a byte order mark in the midst", b'\xef\xbb\xbf{"text": "a"}', "not valid JSON"),
    row("an empty completion", "'completion' is empty", completion=""),
    row("a blank completion", "'completion' is empty", completion="\u2003\n"),
    row("null as completion", "no 'completion' (found: prompt)", completion=None),
    row("true as completion", "'completion' is bool, needed text", completion=True),
    row("an object as completion", "'completion' is dict, needed text", completion={}),
    row("texts as completion", "completion[0] is str, needed a message", completion=["b"]),
    row("a list as id", "'id' is list, needed text", id=[1]),
    row("an object as aliases", "'aliases' is dict, needed a list", aliases={}),
    row("aliases nested without end", "'aliases' is not a valid JSON list: nested too deeply", aliases="[" * 90_000),
    row("an alias of 5,000 digits", "'aliases' is not a valid JSON list: a number of", aliases=f"[{'9' * 5000}]"),
    row("a role that is no text", "prompt[0] has role {}, needed", prompt=[{"role": {}}]),
    row("content that is a list", "'prompt[0].content' is list, needed text",
        prompt=[{"role": "user", "content": [1]}]),
    file("longer than the limit", "bad.jsonl",
         GOOD + json.dumps({"prompt": "a" * 500, "completion": "b"}) + "\n",
         "row '20' of task 'bad' has 507 tokens, more than training.max_length", "too_long=drop"),
    choice("one", "'choices' has 1 entries, needed at least 2", choices=["a"]),
    choice("none", "'choices' has 0 entries, needed at least 2", choices=[]),
    choice("the same twice", "'choices' has the same entry twice", choices=["a", "b", "a"]),
    choice("the same but for a blank", "'choices' has the same entry twice", choices=["a", "a "]),
    choice("an empty one", "'choices' is empty", choices=["a", ""]),
    choice("null", "'choices' is NoneType, needed text", choices=["a", None]),
    choice("lists", "'choices' is list, needed text", choices=["a", ["b"]]),
    choice("a number", "'choices' is int, needed a list", choices=3),
    choice("an object", "'choices' is dict, needed a list", choices={"a": 1, "b": 2}),
    choice("an index too high", f"'answer' '2' is none of the 2 choices, {ONE_OF}", answer=2),
    choice("an index below 0", f"'answer' '-1' is none of the 2 choices, {ONE_OF}", answer=-1),
    choice("a letter too high", f"'answer' 'C' is none of the 2 choices, {ONE_OF}", answer="C"),
    choice("half an index", f"'answer' '1.5' is none of the 2 choices, {ONE_OF}", answer=1.5),
    choice("true", f"'answer' 'True' is none of the 2 choices, {ONE_OF}", answer=True),
    choice("an index of 5,000 digits", f"'answer' '{'9' * 40}' is none of the 2", answer="9" * 5000),
    choice("no answer", "no 'answer' (found: choices, question)", answer=None),
)  # fmt: skip
FILES = (
    file("empty", "bad.jsonl", "", "the file is empty, needed at least one row"),
    file("blank lines", "bad.jsonl", "\n\n", "no rows, needed at least one"),
    file("one row", "bad.jsonl", GOOD.splitlines()[0], "has no test items", "raise hold_out"),
    file("one row many times", "bad.jsonl", GOOD.splitlines()[0] + "\n" + GOOD.splitlines()[0],
         "has no test items", "raise hold_out"),
    file("rows all alike", "bad.jsonl", '{"prompt": "a", "completion": "b"}\n' * 20,
         "every row is alike one that is held out", "add other rows"),
    file("UTF-16", "bad.jsonl", GOOD.encode("utf-16"), "bad.jsonl:1: not UTF-8 text", UTF8),
    file("UTF-16 without its mark", "bad.jsonl", GOOD.encode("utf-16-le"), "a NUL byte; needed"),
    file("compressed", "bad.jsonl", b"\x1f\x8b\x08\0abc", "bad.jsonl:1: not UTF-8 text", UTF8),
    file("a line of 2 MB", "bad.jsonl", GOOD + '{"prompt": "' + "a" * 2_000_000 + "\n",
         "bad.jsonl:21: not valid JSON", MEND),
    file("a folder without data", "bad.jsonl", Path.mkdir, "the folder has no .jsonl, .json"),
    file("a named pipe", "bad.jsonl", os.mkfifo, "a pipe or a device, needed a file"),
    file("an endless device", "bad.jsonl", endless, "a pipe or a device, needed a file"),
    file("a link to itself", "bad.jsonl", lambda p: p.symlink_to(p), "no such file", "the path"),
    file("another ending", "bad.docx", b"PK\x03\x04", "found .docx; needed files of one kind"),
    file("a text", "bad.json", '"text"', "bad.json:row 1: found str, needed an object"),
    file("nested without end", "bad.json", "[" * 90_000, "bad.json:1: not valid JSON: nested too"),
    file("columns as lists", "bad.json", '{"prompt": ["a"], "completion": ["b"]}',
         "bad.json:row 1: prompt[0] is str, needed a message", MEND),
    file("cells too many", "bad.csv", "prompt,completion\na,b\na,b,c\n",
         "bad.csv:3: found 3, needed 2 cells", "in quotes"),
    file("cells too few", "bad.csv", "prompt,completion\na\n", "bad.csv:2: found 1, needed 2"),
    file("one column", "bad.csv", "prompt\na\n", "found the columns prompt; needed", "--fields"),
    file("semicolons", "bad.csv", "prompt;completion\na;b\n", "columns prompt;completion", "--fields"),
    file("a column twice", "bad.csv", "a,a\nb,c\n", "the column 'a' stands there twice", "rename"),
    file("a torn quote", "bad.csv", 'prompt,completion\na,"b\nc,d\n', "bad.csv:2: not valid CSV: a q"),
    file("a torn quote before others", "bad.csv", 'prompt,completion\na,"b\nc,d\ne,"f"\n',
         "bad.csv:2: not valid CSV: ',' expected after '\"' in line 4; is a quote not closed?"),
    file("text after a quote", "bad.csv", 'prompt,completion\na,"b" c\n', "bad.csv:2: not valid"),
    file("line ends of old Macs", "bad.csv", "prompt,completion\ra,b\r", "a carriage return that"),
    file("a NUL byte", "bad.csv", "prompt,completion\na,b\0\n", "bad.csv:2: a NUL byte; needed"),
    file("Latin-1", "bad.csv", b"prompt,completion\na,\xe9\n", "bad.csv:2: not UTF-8", UTF8),
    file("an empty cell", "bad.csv", "prompt,completion\n" + "a,\n" * 20, "no 'completion'", MEND),
    file("a cell nested without end", "bad.csv", 'messages\n"' + "[" * 90_000 + '"\n',
         "bad.csv:2: 'messages' is not valid JSON: nested too deeply", MEND),
    file("a text named so", "bad.parquet", "PAR1 is all PAR1", "bad.parquet: cannot be read"),
    file("torn", "bad.parquet", torn_parquet, "bad.parquet: cannot be read", "whole Parquet file"),
    file("no rows", "bad.parquet", parquet(prompt=[], completion=[]), "no rows, needed at least"),
    file("other columns", "bad.parquet", parquet(q=["a"]), "found the columns q; needed", "--fields"),
    file("dates", "bad.parquet", parquet(prompt=["a"] * 9, completion=[date(2020, 1, 1)] * 9),
         "bad.parquet:row 1: 'completion' is date, needed text", MEND),
    file("not a number", "bad.parquet", parquet(prompt=["a"] * 9, completion=[float("nan")] * 9),
         "bad.parquet:row 1: 'completion' is nan, needed text", MEND),
    file("bytes", "bad.parquet", parquet(prompt=["a"] * 9, completion=[b"\xff"] * 9),
         "bad.parquet:row 1: 'completion' is bytes, needed text", MEND),
    file("a folder with a pipe alone", "bad", holding(a__jsonl=os.mkfifo), "the folder has no"),
    file("files of two kinds", "bad", holding(a__jsonl=GOOD, b__csv="a"), "found .csv, .jsonl; n"),
    file("an empty file in it", "bad", holding(a__jsonl=GOOD, b__jsonl=""), "b.jsonl: the file is"),
    file("other columns in one", "bad", holding(a__jsonl=GOOD, b__jsonl='{"text": "a"}\n'),
         "b.jsonl:1: no 'prompt' (found: text)", MEND),
    file("a folder in itself", "bad", in_itself, "the folder has no .jsonl"),
    file("a name that is no text", "bad", with_a_name_that_is_no_text,
         r"\udcff.jsonl:21: no 'prompt' (found: nothing)", MEND),
)  # fmt: skip
