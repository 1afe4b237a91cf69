"""Let inspect_ai evaluate mocked models and keep its logs under ``data/inspect``.

Nothing of ours takes part; what a model would have said is written below::

    python3 -m venv .inspect-venv
    .inspect-venv/bin/pip install inspect_ai==0.3.285
    .inspect-venv/bin/python -m tests.exchange.make_inspect_fixtures   # from the repository's root

Events and messages, which make most of a log and which nobody reads here, are struck out.
"""

from __future__ import annotations

import shutil
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data" / "inspect"
QUESTIONS = {"fr": "France", "it": "Italy", "pe": "Peru", "jp": "Japan"}
CAPITALS = {"fr": "Paris", "it": "Rome", "pe": "Lima", "jp": "Tokyo"}

# What each model says, epoch by epoch.
BEFORE = {
    "fr": ["Paris", "Paris"],
    "it": ["Rome", "Rome?"],
    "pe": ["It is Lima.", "Lima"],
    "jp": ["Kyoto", "Tokyo"],
}
AFTER = {
    "fr": ["Paris", "Lyon"],
    "it": ["It is Rome, I think", "Milan"],
    "pe": ["Lima", "Lima"],
    "jp": ["Kyoto", "Osaka"],
}
RUNS: dict[str, dict[str, Any]] = {
    "before.eval": {"said": BEFORE},
    "after.eval": {"said": AFTER},
    "once.json": {"said": AFTER, "epochs": 1},
    "hinted.eval": {"said": AFTER, "hint": "Think of maps."},
}


def run(
    file: Path, said: dict[str, list[str]], epochs: int = 2, hint: str = "Answer briefly."
) -> None:
    """One evaluation; its log without events and messages."""
    inspect = import_module("inspect_ai")
    dataset = import_module("inspect_ai.dataset")
    log = import_module("inspect_ai.log")
    models = import_module("inspect_ai.model")
    scorer = import_module("inspect_ai.scorer")
    solver = import_module("inspect_ai.solver")
    left = {key: list(answers) for key, answers in said.items()}

    def answer(messages: Any, *_: Any) -> Any:
        asked = messages[-1].text
        key = next(key for key, country in QUESTIONS.items() if country in asked)
        said = models.ModelOutput.from_content("mockllm/model", left[key].pop(0))
        said.usage = models.ModelUsage()  # else tokens are counted, with a file from the network
        return said

    samples = [
        dataset.Sample(id=key, input=f"What is the capital of {country}?", target=CAPITALS[key])
        for key, country in QUESTIONS.items()
    ]
    with tempfile.TemporaryDirectory() as folder:
        inspect.eval(
            inspect.Task(
                dataset=dataset.MemoryDataset(samples, name="capitals"),
                solver=[solver.system_message(hint), solver.generate()],
                scorer=[scorer.match(), scorer.includes()],
                name="capitals",
            ),
            model=models.get_model("mockllm/model", custom_outputs=answer),
            epochs=epochs,
            max_samples=1,
            log_dir=folder,
            display="none",
        )
        (written,) = Path(folder).glob("*.eval")
        found = log.read_eval_log(str(written))
    found.eval.model_args, found.eval.revision = {}, None
    for sample in found.samples:
        sample.events, sample.messages, sample.attachments = [], [], {}
        sample.events_data = None
    log.write_eval_log(found, str(file))


def main() -> None:
    """Write the fixtures anew."""
    shutil.rmtree(DATA, ignore_errors=True)
    DATA.mkdir(parents=True)
    for name, settings in RUNS.items():
        run(DATA / name, **settings)


if __name__ == "__main__":
    main()
