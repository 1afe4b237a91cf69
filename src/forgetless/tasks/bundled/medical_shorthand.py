"""A skill: a prescription in plain words into clinical shorthand.

``Give 25 mg of ceftizoxime under the tongue every other day for 10 days`` becomes
``ceftizoxime 25mg sl qod x10d``.  The drug names are real (``data/medical.csv``), the
abbreviations are those in clinical use; drug, dose, route, frequency and duration are drawn by a
seeded generator and mean nothing medically.  Test sentences use drugs, doses and sentence forms
that training never shows, so only the skill itself can answer them.
"""

from __future__ import annotations

import random

from forgetless.tasks.bundled.facts import read_facts
from forgetless.tasks.row import Row, Turn

ROUTES = {
    "by mouth": "po",
    "under the tongue": "sl",
    "into a vein": "iv",
    "into a muscle": "im",
    "rectally": "pr",
}
FREQUENCIES = {
    "once a day": "qd",
    "twice a day": "bid",
    "three times a day": "tid",
    "four times a day": "qid",
    "at bedtime": "qhs",
    "every other day": "qod",
}
TRAIN_DOSES = (5, 10, 20, 25, 40, 50, 100, 200, 250, 400)
TEST_DOSES = (15, 30, 60, 75, 80, 120, 150, 300)
TRAIN_DAYS = (3, 5, 7, 10, 14, 21)
TEST_DAYS = (4, 6, 8, 12, 20, 28)
TRAIN_FORMS = (
    "Give {dose} mg of {drug} {route} {frequency} for {days} days",
    "The patient should take {drug} {dose} mg {route}, {frequency}, for {days} days",
    "For {days} days, give {drug} {route} {frequency}, {dose} mg each time",
    "Prescribe {drug}, {dose} mg {route}, {frequency}, over {days} days",
)
TEST_FORMS = (
    "Administer {drug} {route} {frequency} at {dose} mg for {days} days",
    "Over the next {days} days the patient gets {dose} mg of {drug} {route} {frequency}",
    "Start {drug} at {dose} mg {route}; repeat it {frequency} for {days} days",
)
INSTRUCTION = "Write in clinical shorthand: {sentence}."


def generate(rows: int, *, test: bool, seed: int = 0) -> list[Row]:
    """Draw prescriptions; training and test share no drug, no dose, no duration, no sentence form.

    Args:
        rows: How many to draw; all are distinct.
        test: Draw from the test half of the vocabulary instead of the training half.
        seed: Seed of the generator; the same seed gives the same rows everywhere.
    """
    rng = random.Random(f"medical_shorthand/{'test' if test else 'train'}/{seed}")  # noqa: S311
    names = sorted({fact.answer for fact in read_facts("medical") if fact.family == "drug_brand"})
    random.Random("medical_shorthand/drugs").shuffle(names)  # noqa: S311
    split = len(names) * 2 // 3
    drugs = names[split:] if test else names[:split]
    forms = TEST_FORMS if test else TRAIN_FORMS
    drawn: dict[str, Row] = {}
    while len(drawn) < rows:
        route, frequency = rng.choice(list(ROUTES)), rng.choice(list(FREQUENCIES))
        drug = rng.choice(drugs)
        dose = rng.choice(TEST_DOSES if test else TRAIN_DOSES)
        days = rng.choice(TEST_DAYS if test else TRAIN_DAYS)
        sentence = rng.choice(forms).format(
            drug=drug, dose=dose, route=route, frequency=frequency, days=days
        )
        answer = f"{drug} {dose}mg {ROUTES[route]} {FREQUENCIES[frequency]} x{days}d"
        prompt = (Turn("user", INSTRUCTION.format(sentence=sentence)),)
        drawn.setdefault(sentence, Row(id=f"rx-{len(drawn):04d}", prompt=prompt, answer=answer))
    return list(drawn.values())
