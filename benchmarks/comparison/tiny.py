"""Setting *tiny*: a model built and first trained here, then three facts about the same people.

The base model knows everyone's pet, job and instrument, knows where some others live and what they
like and eat, and says of the people in question that it does not know.  The stages teach it their
city, then their colour, then their food: the same names, so that each stage wants other answers
from the same people.  A test asks the very facts that were taught, in the same words: what is
measured is memory, and nothing else can help.  The task that is only tested, ``pet``, is about what
the base model knew and no stage trains.

A training answer ends in a full stop and the expected answer of a test does not, which scoring does
not mind; so rehearsal may draw the rows, though it never draws a test item.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.comparison.settings import NamedSetting
from forgetless.models.source import cache_folder
from forgetless.storage import replace_folder


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


PEOPLE = _words(
    "Anna Boris Clara David Elena Felix Greta Hugo Irene Jonas Karin Louis Maria Nils Olga Peter "
    "Quinn Rosa Simon Tanja Ulrich Vera Walter Xenia Yusuf Zoe Adam Bella Carl Doris Emil Frida"
)
OTHERS = _words(
    "Ada Bruno Cora Dario Edith Fabio Gina Henry Ines Jakob Kira Leo Mina Noah Otto Paula"
)


@dataclass(frozen=True)
class Relation:
    """A kind of fact: how it is asked, and its possible answers."""

    question: str
    answers: tuple[str, ...]


def _relation(question: str, answers: str) -> Relation:
    return Relation(question, _words(answers))


RELATIONS: Mapping[str, Relation] = {
    "city": _relation(
        "Where does {} live?",
        "Paris Rome Oslo Cairo Lima Tokyo Delhi Quito Berlin Madrid Athens Dublin Vienna Sofia "
        "Riga Accra",
    ),
    "colour": _relation(
        "What colour does {} like?",
        "red blue green yellow white black brown pink grey purple orange gold silver violet cyan "
        "beige",
    ),
    "food": _relation(
        "What does {} eat?",
        "bread rice soup pasta cheese apples beans fish eggs salad corn honey nuts olives cake "
        "plums",
    ),
    "pet": _relation(
        "Which pet does {} keep?", "dog cat parrot rabbit horse goat hamster snake"
    ),
    "job": _relation(
        "What is the job of {}?", "baker nurse pilot tailor farmer painter lawyer teacher"
    ),
    "instrument": _relation(
        "What does {} play?", "piano violin flute drums guitar harp cello trumpet"
    ),
}  # fmt: skip
TAUGHT = ("city", "colour", "food")
KNOWN = "pet"
UNKNOWN = "unknown"

TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@dataclass(frozen=True)
class Size:
    """The base model and its own training."""

    width: int = 128
    layers: int = 2
    heads: int = 4
    context: int = 64
    steps: int = 600
    batch: int = 32
    rate: float = 3e-3
    warmup: int = 50


def taught_facts(seed: int) -> dict[str, dict[str, str]]:
    """For each task, the answer for each person; every answer is right for equally many."""
    facts = {}
    for task in TAUGHT:
        answers = RELATIONS[task].answers
        dealt = [answers[place % len(answers)] for place in range(len(PEOPLE))]
        random.Random(f"{seed}/{task}").shuffle(dealt)
        facts[task] = dict(zip(PEOPLE, dealt, strict=True))
    return facts


def known_facts(seed: int) -> dict[str, dict[str, str]]:
    """What the base model is trained on: for each relation, the answer for everyone."""
    rng = random.Random(f"{seed}/known")
    return {
        name: {
            person: rng.choice(relation.answers)
            if name not in TAUGHT or person in OTHERS
            else UNKNOWN
            for person in (*PEOPLE, *OTHERS)
        }
        for name, relation in RELATIONS.items()
    }


def rows(relation: str, facts: Mapping[str, str], *, stop: str) -> list[dict[str, str]]:
    """Facts about the people in question, as rows of a task; ``stop`` ends each answer."""
    question = RELATIONS[relation].question
    return [
        {"id": name, "prompt": question.format(name), "completion": facts[name] + stop}
        for name in PEOPLE
    ]


def data(seed: int) -> dict[str, list[dict[str, str]]]:
    """All rows by the name of their file; ``TASK_test`` asks what ``TASK`` teaches."""
    files = {f"{KNOWN}_test": rows(KNOWN, known_facts(seed)[KNOWN], stop="")}
    for task, facts in taught_facts(seed).items():
        files[task] = rows(task, facts, stop=".")
        files[f"{task}_test"] = rows(task, facts, stop="")
    return files


def prepare(seed: int) -> dict[str, Any]:
    """The plan's settings; the base model is trained at the first call and kept in the cache."""
    folder = base_and_data(seed, Size())
    return {
        "model": str(folder / "model"),
        "sequence": [
            {
                "name": task,
                "train": str(folder / f"{task}.jsonl"),
                "test": str(folder / f"{task}_test.jsonl"),
                "max_new_tokens": 4,
            }
            for task in TAUGHT
        ],
        "test_only": [
            {"name": KNOWN, "test": str(folder / f"{KNOWN}_test.jsonl"), "max_new_tokens": 4}
        ],
        "training": {
            "epochs": 44,
            "batch_size": 16,
            "scoring_batch_size": 64,
            "checkpoint_every": 100_000,
            "device": "cpu",
            "seed": seed,
        },
    }


def base_and_data(seed: int, size: Size) -> Path:
    """Folder of the base model and all rows, named by what they are made of."""
    import torch
    from filelock import FileLock

    known, files = known_facts(seed), data(seed)
    content = [seed, asdict(size), known, files, TEMPLATE, torch.__version__]
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
    folder = cache_folder() / "benchmarks" / f"tiny-{digest}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            with replace_folder(folder) as part:
                _train_base(seed, size, known, part / "model")
                for name, lines in files.items():
                    text = "".join(json.dumps(line) + "\n" for line in lines)
                    (part / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return folder


def _train_base(
    seed: int, size: Size, known: Mapping[str, Mapping[str, str]], folder: Path
) -> None:
    """Train a model from nothing on whole conversations, questions included."""
    import torch

    tokenizer = build_tokenizer()
    model = build_model(seed, size, tokenizer)
    texts = [
        tokenizer.apply_chat_template(
            [
                {"role": "user", "content": RELATIONS[relation].question.format(person)},
                {"role": "assistant", "content": f"{answer}."},
            ],
            tokenize=False,
        )
        for relation, facts in known.items()
        for person, answer in facts.items()
    ]
    encoded = tokenizer(texts, return_tensors="pt", padding=True, padding_side="right")
    labels = encoded["input_ids"].masked_fill(encoded["attention_mask"] == 0, -100)
    optimiser = torch.optim.AdamW(model.parameters(), lr=size.rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: min(
            (step + 1) / size.warmup, (size.steps - step) / (size.steps - size.warmup)
        ),
    )
    generator = torch.Generator().manual_seed(seed)
    queue = torch.empty(0, dtype=torch.int64)
    for _ in range(size.steps):
        if len(queue) < size.batch:
            queue = torch.cat([queue, torch.randperm(len(texts), generator=generator)])
        chosen, queue = queue[: size.batch], queue[size.batch :]
        loss = model(
            input_ids=encoded["input_ids"][chosen],
            attention_mask=encoded["attention_mask"][chosen],
            labels=labels[chosen],
        ).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def build_tokenizer() -> Any:
    """One token for each word there is."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {UNKNOWN, ".", "?", *PEOPLE, *OTHERS}
    for relation in RELATIONS.values():
        words |= {*relation.answers, *relation.question.replace("{}", "").rstrip("?").split()}
    special = ["<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>", "<|other|>"]
    ids = {word: number for number, word in enumerate([*special, *sorted(words)])}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="<|other|>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return chat_tokenizer(tokenizer, special)


def chat_tokenizer(tokenizer: Any, special: Sequence[str]) -> Any:
    """A tokenizer of transformers with our chat template."""
    from transformers import PreTrainedTokenizerFast

    tokenizer.add_special_tokens(list(special))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|end|>", pad_token="<|pad|>"
    )
    fast.chat_template = TEMPLATE
    return fast


def build_model(seed: int, size: Size, tokenizer: Any, *, inner: int = 2) -> Any:
    """A Llama with random weights; its feed-forward layers are ``inner`` times as wide."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=size.width,
            intermediate_size=inner * size.width,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            num_key_value_heads=size.heads,
            max_position_embeddings=size.context,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            tie_word_embeddings=True,
        )
    )


TINY = NamedSetting(
    name="tiny",
    title="three facts about the same 32 people, a model of 347,000 parameters",
    prepare=prepare,
    # Plain training keeps most at the lowest, and less again at half of it; at the others it ends
    # with the last task alone.
    rates=(2.5e-4, 7e-4, 2e-3),
    search_seeds=(100, 101),
    seeds=(0, 1, 2, 3, 4),
    # Rows are eleven tokens long and differ in one: what the model writes is meant to be alike.
    options={
        "self_replay": {"rows": 300, "max_overlap": 1.0, "max_new_tokens": 16},
        "on_policy_replay": {"max_new_tokens": 4},
    },
)
