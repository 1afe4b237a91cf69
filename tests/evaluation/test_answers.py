"""Answers kept between audits."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

import pytest

from forgetless.errors import RunFailed
from forgetless.evaluation import answers
from forgetless.evaluation.answers import AnswerStore, answer_key
from forgetless.evaluation.result import ItemResult

RIGHT = ItemResult(
    "law", "7", "Why?", "so", ("so", "no"), "so", "so", 1.0, True, {"acc": 1.0}, None
)


def test_what_was_kept_is_found_by_another_process(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path / "sub" / "answers.sqlite")
    store.keep({"a": RIGHT})
    store.close()
    (found,) = AnswerStore(tmp_path / "sub" / "answers.sqlite").find(["a", "b"]).values()
    assert found.choices == ("so", "no")
    assert (found.score, found.readings) == (1.0, {"acc": 1.0})
    assert (found.task, found.item) == ("", "")  # the same request may be an item of any task


def test_an_error_is_asked_again(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path / "answers.sqlite")
    store.keep({"a": ItemResult("law", "7", "Why?", "so", error="timed out")})
    assert store.find(["a"]) == {}


def test_a_key_is_one_of_model_request_and_way_of_scoring(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [("m", "r"), ("m", "s"), ("n", "r"), ("mr", "")]
    keys = {answer_key(*one) for one in asked}
    monkeypatch.setattr(answers, "SCORING", answers.SCORING + 1)
    assert len(keys | {answer_key(*one) for one in asked}) == 8


def test_more_keys_than_one_query_takes_are_all_looked_up(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path / "answers.sqlite")
    keys = [str(number) for number in range(1201)]
    store.keep(dict.fromkeys(keys, RIGHT))
    assert set(store.find(keys)) == set(keys)


def test_a_file_that_is_no_database_is_put_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "answers.sqlite"
    file.write_bytes(b"something else entirely" * 100)
    store = AnswerStore(file)
    with caplog.at_level(logging.WARNING):
        store.keep({"a": RIGHT})
    assert store.find(["a"])
    assert "begun anew" in caplog.text
    assert file.with_name("answers.sqlite.unreadable").read_bytes().startswith(b"something")


def test_a_database_of_others_is_put_aside(tmp_path: Path) -> None:
    file = tmp_path / "answers.sqlite"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE answers (colour TEXT)")
    database.close()
    store = AnswerStore(file)
    store.keep({"a": RIGHT})
    assert store.find(["a"])
    assert file.with_name("answers.sqlite.unreadable").exists()


def test_a_database_that_another_process_holds_stays_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "answers.sqlite"
    store = AnswerStore(file)
    store.keep({"a": RIGHT})
    store.close()
    monkeypatch.setattr(answers, "_PATIENCE", 0)
    other = sqlite3.connect(file)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("INSERT INTO answers VALUES ('x', 'y')")
    with pytest.raises(RunFailed, match=r"answers\.sqlite: .*database is locked"):
        AnswerStore(file).find(["a"])
    other.close()
    assert AnswerStore(file).find(["a"])


@pytest.mark.parametrize("line", ["", "no", "[]", "{}", '{"choices": 7}', "[" * 9000])
def test_an_answer_that_was_damaged_is_asked_again(tmp_path: Path, line: str) -> None:
    file = tmp_path / "answers.sqlite"
    store = AnswerStore(file)
    store.keep({"a": RIGHT, "b": RIGHT})
    store.close()
    with sqlite3.connect(file) as database:
        database.execute("UPDATE answers SET line = ? WHERE key = 'a'", [line])
    database.close()
    assert list(AnswerStore(file).find(["a", "b"])) == ["b"]


def test_a_store_that_is_not_used_leaves_no_file(tmp_path: Path) -> None:
    AnswerStore(tmp_path / "sub" / "answers.sqlite").close()
    assert list(tmp_path.iterdir()) == []


def test_without_a_file_nothing_is_kept() -> None:
    store = AnswerStore(None)
    store.keep({"a": RIGHT})
    assert store.find(["a"]) == {}
    store.close()


def test_a_store_of_one_audit_leaves_no_file(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path / "answers.sqlite")
    store.keep({"a": RIGHT})
    store.close(delete=True)
    assert list(tmp_path.iterdir()) == []
