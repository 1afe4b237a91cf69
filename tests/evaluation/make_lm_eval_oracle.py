"""Ask lm-evaluation-harness for likelihoods and accuracies; write ``lm_eval_oracle.json``.

lm-evaluation-harness (https://github.com/EleutherAI/lm-evaluation-harness) is an independent
implementation of scoring by log-likelihood.  It is asked through its ``HFLM.loglikelihood`` and its
``simple_evaluate`` with a multiple-choice task of its own kind; nothing of ours takes part::

    python3 -m venv .oracle-venv
    .oracle-venv/bin/pip install torch==2.13.0 transformers==5.23.0 lm-eval==0.4.13 accelerate
    .oracle-venv/bin/python -m tests.evaluation.make_lm_eval_oracle   # from the repository's root

The model's weights come from NumPy's legacy generator, whose stream never changes, so that every
machine has the same model.  Its tokenizer has merges across word boundaries and inside words, so
that prompt and answer have to be cut apart where lm-evaluation-harness cuts them.
"""

from __future__ import annotations

import json
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

ORACLE = Path(__file__).with_name("lm_eval_oracle.json")
VERSION = "0.4.13"

WORDS = ["red", "blue", "dark", "green", "grey", "the", "of", "is", "it", "colour", "Question",
         "Answer", "What", "sky", "grass", "sun"]  # fmt: skip
THINGS = ["the sky", "grass", "the sun in the evening", "an old car", "snow", "it"]
OFFERED = ["red", "a rather dark blue", "green", "grey, or so", "it is white", "b"]

Item = dict[str, Any]


def items() -> list[Item]:
    """Multiple choice: questions and choices of many lengths, 2 to 4 choices each.

    Every choice takes its turn as the right one, so that accuracies tell which one was picked.
    """
    found = []
    for number, thing in enumerate(THINGS * 2):
        choices = [OFFERED[(number + k) % 6] for k in range(2 + number % 3)]
        question = f"What colour is {thing}{', then' * (number % 5)}?"
        found += [
            {"question": question, "choices": choices, "answer": answer}
            for answer in range(len(choices))
        ]
    return found


def pairs() -> list[tuple[str, str]]:
    """Context and continuation, as the plain rendering writes them."""
    return [
        (f"Question: {item['question']}\nAnswer:", " " + item["choices"][item["answer"]])
        for item in items()
    ]


def tokenizer() -> Any:
    """Byte-level BPE with GPT-2's word splitting; every word of ``WORDS`` is a chain of merges."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {s: n for n, s in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    merges: list[tuple[str, str]] = []
    for text in [*("Ġ" + word for word in WORDS), *WORDS]:
        for end in range(2, len(text) + 1):
            merge = (text[: end - 1], text[end - 1])
            if merge not in merges:
                merges.append(merge)
                vocabulary.setdefault(text[:end], len(vocabulary))
    fast = Tokenizer(models.BPE(vocabulary, merges))
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast.decoder = decoders.ByteLevel()
    fast.add_special_tokens(["<|end|>"])
    ends = dict.fromkeys(("eos_token", "pad_token"), "<|end|>")
    return PreTrainedTokenizerFast(tokenizer_object=fast, **ends)


def model(vocabulary: int) -> Any:
    """A two-layer Llama whose weights are the same everywhere."""
    import numpy as np
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    llama = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=256,
            bos_token_id=None,
            eos_token_id=vocabulary - 1,
            pad_token_id=vocabulary - 1,
            tie_word_embeddings=True,
        )
    ).eval()
    stream = np.random.RandomState(0)
    with torch.no_grad():
        for name, parameter in sorted(llama.named_parameters()):
            drawn = torch.tensor(stream.standard_normal(parameter.shape), dtype=torch.float32)
            parameter.copy_(1 + drawn / 10 if "norm" in name else drawn / 8)
    return llama


def save(folder: Path) -> Path:
    """The model and its tokenizer as a folder."""
    tokens = tokenizer()
    model(len(tokens)).save_pretrained(folder)
    tokens.save_pretrained(folder)
    return folder


def ask_lm_eval() -> dict[str, Any]:
    """What lm-evaluation-harness says, in plain data.

    Returns:
        ``loglikelihood`` of each of :func:`pairs`, in nats; ``acc`` and ``acc_norm`` of each of
        :func:`items`, and their means over all items.
    """
    lm_eval = import_module("lm_eval")
    instance = import_module("lm_eval.api.instance").Instance
    configurable = import_module("lm_eval.api.task").ConfigurableTask
    hflm = import_module("lm_eval.models.huggingface").HFLM

    tokens = tokenizer()
    lm = hflm(pretrained=model(len(tokens)), tokenizer=tokens, batch_size=4, max_length=256)
    asked = [
        instance(request_type="loglikelihood", doc={}, arguments=pair, idx=0) for pair in pairs()
    ]
    answers = lm.loglikelihood(asked, disable_tqdm=True)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "items.jsonl"
        file.write_text("".join(json.dumps(item) + "\n" for item in items()))
        task = configurable(
            config={
                "task": "colours",
                "dataset_path": "json",
                "dataset_kwargs": {"data_files": {"test": str(file)}, "cache_dir": folder},
                "test_split": "test",
                "output_type": "multiple_choice",
                "doc_to_text": "Question: {{question}}\nAnswer:",
                "doc_to_choice": "choices",
                "doc_to_target": "answer",
                "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
            }
        )
        results = lm_eval.simple_evaluate(
            model=lm, tasks=[task], bootstrap_iters=0, log_samples=True
        )
    samples = sorted(results["samples"]["colours"], key=lambda sample: int(sample["doc_id"]))
    return {
        "loglikelihood": [float(total) for total, _ in answers],
        "acc": [float(sample["acc"]) for sample in samples],
        "acc_norm": [float(sample["acc_norm"]) for sample in samples],
        "means": {
            name: float(results["results"]["colours"][f"{name},none"])
            for name in ("acc", "acc_norm")
        },
    }


def main() -> None:
    """Write the oracle."""
    from importlib.metadata import version

    versions = {name: version(name) for name in ("lm-eval", "torch", "transformers")}
    assert versions["lm-eval"] == VERSION
    ORACLE.write_text(json.dumps({"versions": versions, **ask_lm_eval()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
