"""Whatever stands in a file of rows or in a plan, it is read, or refused with its place."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from forgetless.errors import DataError, PlanError, UsageError
from forgetless.methods import METHODS
from forgetless.plan import Plan, TaskConfig, TrainingConfig, load_plan, make_plan
from forgetless.tasks.formats import FIELDS, MalformedRow, detect_format, read_row
from forgetless.tasks.parsing import scan
from forgetless.tasks.source import read_source

ANY = settings(
    deadline=None,
    derandomize=True,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["", "A", "0", "1.5", "[1", "[]", '[{"role": "user"}]', "\0", "a|b", "\ud800"]
    )
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=8)
RECORDS = st.dictionaries(st.sampled_from(FIELDS), VALUES, min_size=1, max_size=5)
# Bytes that are nearly what they should be reach further than any bytes at all.
PIECES = st.sampled_from(
    [b'{"prompt": "a", "completion": "b"}', b'{"text": "c"}', b"prompt,completion", b"a,b", b"\n"]
    + [b"\r\n", b"\r", b'"', b",", b"{", b"}", b"[", b"]", b"\xef\xbb\xbf", b"\xff", b"\0", b" "]
    + [b"\\ud800", b"NaN", b"1e999", b"PAR1", "ä\u2028".encode()]
) | st.binary(max_size=4)
CONTENTS = st.lists(PIECES, max_size=12).map(b"".join)


def told(error: UsageError, place: str) -> None:
    """The refusal names the place, and no line of it is too long to be read."""
    assert place in error.message
    assert all(len(line) < 500 for line in error.message.splitlines())


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
@ANY
@given(content=CONTENTS)
def test_any_bytes_are_read_or_refused_with_their_place(
    tmp_path: Path, name: str, content: bytes
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    try:
        for place, record in scan([file]):
            assert place.startswith(f"{file}:")
            json.dumps(record, allow_nan=False).encode()
    except DataError as error:
        told(error, str(file))


@ANY
@given(record=RECORDS)
def test_any_record_is_a_row_or_is_refused_saying_why(record: dict[str, Any]) -> None:
    shape = detect_format(set(record))
    if shape is None:
        return
    try:
        row = read_row(record, shape, 0)
    except MalformedRow as error:
        told(DataError(str(error)), "")
        return
    assert row.answer.strip()
    assert not row.choices or row.answer in row.choices
    assert (row.prompt == ()) == (shape == "text")


@settings(ANY, max_examples=20)
@given(
    columns=st.dictionaries(
        st.sampled_from(FIELDS),
        st.sampled_from(
            [[1, 2], [1.5, float("nan")], ["a", None], ["", "b"], [True, False], [b"a", b"\xff"]]
            + [[["a", "b"], ["c"]], [{"role": "user"}, {"role": "x"}], [None, None], ["0", "1"]]
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_table_is_read_or_refused_with_its_row(
    tmp_path: Path, columns: dict[str, list[Any]]
) -> None:
    import pyarrow.parquet

    # another name for every table, as it would be of other runs
    handle, name = tempfile.mkstemp(".parquet", dir=tmp_path)
    os.close(handle)
    pyarrow.parquet.write_table(pyarrow.table(columns), name)
    try:
        assert len(list(read_source(name, fields={}, split="train"))) == 2
    except DataError as error:
        told(error, name)


@ANY
@given(rows=st.lists(st.dictionaries(TEXT, TEXT | st.integers() | st.lists(TEXT), min_size=1)))
def test_any_objects_written_as_jsonl_are_read_back_as_they_were(
    tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    assert [record for _, record in scan([file])] == rows


KEYS = {
    *(*Plan.model_fields, *TaskConfig.model_fields, *TrainingConfig.model_fields, *METHODS),
    *("loss", "tasks", "ratio", "strength", "options", "unknown"),
}
SETTINGS = st.recursive(
    SCALARS
    | st.sampled_from(["auto", "2%", "a.jsonl", "replay", "bundled:legal_facts", "../../x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(sorted(KEYS)), inner, max_size=3)
    ),
    max_leaves=8,
)
PLANS = st.fixed_dictionaries(
    {"model": SETTINGS, "sequence": SETTINGS | st.just(["a.jsonl"])},
    optional=dict.fromkeys(sorted(KEYS - {"model", "sequence"}), SETTINGS),
)


@ANY
@given(data=PLANS)
@example(data={"model": "m", "sequence": ["a.jsonl"], "methods": [{"replay": {"ratio": 10**30}}]})
@example(data={"model": "\ud800", "sequence": ["a.jsonl"]})
def test_any_settings_make_a_plan_or_are_refused_and_a_plan_comes_back_as_it_was(
    tmp_path: Path, data: dict[str, Any]
) -> None:
    try:
        made = make_plan(data)
    except PlanError as error:
        told(error, "plan")
        return
    try:
        file = tmp_path / "plan.yaml"
        file.write_text(made.to_yaml(), encoding="utf-8", errors="surrogatepass")
        once = load_plan(file)
    except PlanError as error:  # no path, or no text
        told(error, "cannot be used" if "cannot be used" in error.message else str(file))
        return
    file.write_text(once.to_yaml(), encoding="utf-8")
    assert load_plan(file) == once
    assert once.resolved()["training"] == made.resolved()["training"]


LINES = st.lists(
    st.sampled_from(
        [
            "model: m",
            "sequence: [a.jsonl]",
            "- a",
            "  - b: &x [1]",
            "c: *x",
            "<<: *x",
            "? [a]",
            ": b",
        ]
        + ["ask: ['", "ask: |", "  text", "!!set {a}", "!!int x", "2020-99-99", "---", "%YAML 9.9"]
        + [
            "training: {seed: 1}",
            "methods: [replay]",
            "\t",
            "{",
            "]",
            "# c",
            "'",
            '"\\ud800"',
            "~: 1",
        ]
    )
    | st.text(max_size=6),
    max_size=8,
)


@settings(ANY, max_examples=200)
@given(lines=LINES)
def test_any_text_is_a_plan_or_is_refused_with_its_file(tmp_path: Path, lines: list[str]) -> None:
    file = tmp_path / "plan.yaml"
    file.write_bytes("\n".join(lines).encode(errors="surrogatepass"))
    try:
        found = load_plan(file)
    except PlanError as error:
        told(error, str(file))
        return
    assert found.model.name
    assert yaml.safe_load(found.to_yaml()) == found.resolved()


@ANY
@given(content=st.binary(max_size=40))
def test_any_bytes_are_a_plan_or_are_refused_with_their_file(
    tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "plan.yaml"
    file.write_bytes(content)
    with pytest.raises(PlanError) as refused:
        load_plan(file)
    told(refused.value, str(file))
