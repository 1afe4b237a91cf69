"""A tiny chat model made on the spot and two tasks over the same names, for the examples here."""

from __future__ import annotations

from typing import Any

import torch
from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

NAMES = ["Ada", "Bo", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hal", "Ida", "Jon", "Kim", "Leo"]
CITIES = ["Rome", "Oslo", "Lima", "Bern", "Kyiv", "Doha"]
FOODS = ["rice", "soup", "figs", "corn", "eggs", "nuts"]

TASKS = {
    "cities": [(f"Where does {name} live?", CITIES[n % 6]) for n, name in enumerate(NAMES)],
    "foods": [(f"What does {name} eat?", FOODS[(n * 5 + 1) % 6]) for n, name in enumerate(NAMES)],
}


def tiny_model() -> tuple[Any, Any]:
    """A randomly initialised Llama of 0.2 million parameters and its byte-level tokenizer."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({symbol: index for index, symbol in enumerate(alphabet)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens(["<|end|>", "<|pad|>", "<|user|>", "<|assistant|>"])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<|end|>", pad_token="<|pad|>"
    )
    tokenizer.chat_template = (
        "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=96,
            intermediate_size=192,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=128,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    return model, tokenizer


def conversations(task: str) -> Dataset:
    """A task's rows in the prompt/completion form that TRL reads."""
    return Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": question}],
                "completion": [{"role": "assistant", "content": answer}],
            }
            for question, answer in TASKS[task]
        ]
    )


def tokenised(task: str, tokenizer: Any) -> Dataset:
    """A task's rows as a plain Trainer takes them: token ids, and labels on the answer alone."""
    rows = []
    for question, answer in TASKS[task]:
        asked = tokenizer(f"<|user|>{question}<|end|><|assistant|>")["input_ids"]
        reply = tokenizer(f"{answer}<|end|>")["input_ids"]
        rows.append({"input_ids": asked + reply, "labels": [-100] * len(asked) + reply})
    return Dataset.from_list(rows)


def accuracy(model: Any, tokenizer: Any, task: str) -> float:
    """Share of a task's questions that the model answers right."""
    right = 0
    model.eval()
    for question, answer in TASKS[task]:
        asked = tokenizer(f"<|user|>{question}<|end|><|assistant|>", return_tensors="pt")
        told = model.generate(**asked, max_new_tokens=8, do_sample=False)
        text = tokenizer.decode(told[0, asked["input_ids"].shape[1] :], skip_special_tokens=True)
        right += text == answer
    return right / len(TASKS[task])
