"""A model of ours as lm-evaluation-harness wants to ask it.

Texts become tokens as its own ``HFLM`` does it, so that answers are the same; scoring is ours.
This module needs the extra ``lm-eval`` and is imported only where such a task is asked.

Differs: ``HFLM`` cuts a request that is longer than the context from the left and goes on; here the
item is an error.  Answers that are drawn at random are refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from lm_eval.api.model import TemplateLM
from lm_eval.models.utils import (
    handle_stop_sequences,
    has_bos_prefix,
    normalize_gen_kwargs,
    postprocess_generated_text,
)
from lm_eval.models.utils_hf import stop_sequences_criteria

from forgetless.errors import DataError
from forgetless.evaluation.likelihood import Request, batches, log_likelihoods
from forgetless.models.blocks import weights_in_blocks
from forgetless.models.forward import last_logits
from forgetless.models.generation import NotNumbers, continuations
from forgetless.models.load import LoadedModel
from forgetless.models.padding import side_by_side
from forgetless.models.reach import Reach

LONGEST_ANSWER = 256  # tokens, where a task names no limit; as HFLM


class AskedModel(TemplateLM):  # type: ignore[misc]
    """A loaded model behind the interface of lm-evaluation-harness.

    Args:
        loaded: Model and tokenizer.
        batch_size: Most sequences in one forward pass.
        greedy: Whether tasks want to know if an answer is the likeliest one token by token; that
            takes a second pass.

    Attributes:
        failed: Task and number of an item to why it could not be asked.
    """

    backend = "causal"

    def __init__(self, loaded: LoadedModel, batch_size: int, greedy: bool) -> None:
        super().__init__()
        self.failed: dict[tuple[str, int], str] = {}
        self.tokenizer = loaded.tokenizer
        self._loaded = loaded
        self._batch_size = batch_size
        self._greedy = greedy
        self._reach = Reach.of(loaded.model)
        self._instances: Sequence[Any] = ()

    @property
    def eot_token_id(self) -> Any:
        """The token that ends a text."""
        return self.tokenizer.eos_token_id

    @property
    def prefix_token_id(self) -> Any:
        """What stands before an answer that has no prompt."""
        bos = self.tokenizer.bos_token_id
        return self.tokenizer.eos_token_id if bos is None else bos

    @property
    def tokenizer_name(self) -> str:
        """Name in the keys of lm-evaluation-harness's cache, which is not used."""
        return str(self.tokenizer.name_or_path).replace("/", "__")

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **kwargs: Any
    ) -> list[int]:
        """Tokens of a text; none is put before one that brings its own."""
        settings: dict[str, bool] = {}
        if add_special_tokens is not None:
            settings["add_special_tokens"] = add_special_tokens
        elif has_bos_prefix(string, self.tokenizer.decode(self.prefix_token_id)):
            settings["add_special_tokens"] = False
        tokens: list[int] = self.tokenizer.encode(string, **settings)
        return tokens

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """A conversation as text."""
        text: str = self.tokenizer.apply_chat_template(
            chat_history,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
        )
        return text

    def loglikelihood(
        self, requests: list[Any], disable_tqdm: bool = True
    ) -> list[tuple[float, bool]]:
        """Log-likelihood of each continuation in nats, and whether it is the greedy one."""
        self._instances = requests
        answers: list[tuple[float, bool]] = super().loglikelihood(requests, disable_tqdm=True)
        return answers

    def _loglikelihood_tokens(
        self, requests: list[tuple[Any, list[int], list[int]]], **kwargs: Any
    ) -> list[tuple[float, bool]]:
        answers = [(float("nan"), False)] * len(requests)
        items: dict[tuple[int, ...], list[int]] = {}  # requests that share their context
        for number, (_, context, continuation) in enumerate(requests):
            if not continuation:
                self._fail(number, "an answer has no token to score")
            elif obstacle := self._reach.obstacle([*context, *continuation], self.tokenizer):
                self._fail(number, obstacle)
            else:
                items.setdefault(tuple(context), []).append(number)
        with weights_in_blocks(self._loaded.model):
            for batch in self._batches(items, requests):
                asked = [Request(requests[number][1], requests[number][2]) for number in batch]
                scored = log_likelihoods(self._loaded, asked)
                greedy = _is_greedy(self._loaded, asked) if self._greedy else [False] * len(asked)
                for number, likelihood, is_greedy in zip(batch, scored, greedy, strict=True):
                    answers[number] = (likelihood.total, is_greedy)
        return answers

    def _batches(
        self, items: dict[tuple[int, ...], list[int]], requests: Sequence[Any]
    ) -> Iterator[list[int]]:
        """Numbers of requests that go through the model together, those of an item as one."""
        if not items:
            return
        together = [
            numbers[start : start + self._batch_size]
            for numbers in items.values()
            for start in range(0, len(numbers), self._batch_size)
        ]
        widest = max(map(len, together))
        longest = [
            Request(
                requests[numbers[0]][1], max((requests[number][2] for number in numbers), key=len)
            )
            for numbers in together
        ]
        vocabulary = self._reach.vocabulary
        size = max(1, self._batch_size // widest)
        for batch in batches(longest, size, vocabulary * widest):
            yield [number for index in batch for number in together[index]]

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = True) -> list[float]:
        """Refused: it is about texts, not about right and wrong answers."""
        raise DataError(f"{requests[0].task_name}: it asks for the likelihood of whole texts")

    def generate_until(self, requests: list[Any], disable_tqdm: bool = True) -> list[str]:
        """Greedy answers, cut where a stop sequence begins."""
        self._instances = requests
        answers = [""] * len(requests)
        prompts: list[list[int]] = []
        alike: dict[str, list[int]] = {}  # requests with the same settings
        for number, request in enumerate(requests):
            context, settings = request.args
            limit = self._settings(settings, request.task_name)[1]
            prompts.append(self.tok_encode(context))
            if obstacle := self._reach.obstacle(prompts[-1], self.tokenizer, limit):
                self._fail(number, obstacle)
            else:
                alike.setdefault(json.dumps(settings, sort_keys=True), []).append(number)
        for numbers in alike.values():
            until, limit = self._settings(
                requests[numbers[0]].args[1], requests[numbers[0]].task_name
            )
            numbers.sort(key=lambda number: (-len(prompts[number]), number))
            for start in range(0, len(numbers), self._batch_size):
                batch = numbers[start : start + self._batch_size]
                ends = [len(prompts[number]) + limit for number in batch]
                for places in side_by_side(self._loaded.model, ends):
                    some = [batch[place] for place in places]
                    texts = self._continued([prompts[number] for number in some], until, limit)
                    for number, text in zip(some, texts, strict=True):
                        if text is None:
                            self._fail(number, "the model's likelihood is not a number")
                        else:
                            answers[number] = text
        return answers

    def _settings(self, given: dict[str, Any], task: str) -> tuple[list[str], int]:
        """Stop sequences and longest answer.

        Raises:
            DataError: if answers are to be drawn at random.
        """
        settings = normalize_gen_kwargs(given, LONGEST_ANSWER)
        if settings.get("do_sample") or settings.get("temperature"):
            raise DataError(
                f"lm_eval task {task!r} draws its answers at random ({json.dumps(given)}); two "
                "audits of it would differ",
                fix="choose a task that is answered greedily",
            )
        end = self.tokenizer.decode(self.eot_token_id, skip_special_tokens=False)
        until: list[str] = handle_stop_sequences(settings.get("until"), eos=end)
        return until, int(settings["max_gen_toks"])

    def _continued(
        self, prompts: list[list[int]], until: list[str], limit: int
    ) -> list[str | None]:
        """Texts of one batch; None where a logit was not a number."""
        broken = NotNumbers()
        width = max(map(len, prompts))
        tokens = continuations(
            self._loaded.model,
            prompts,
            limit,
            [self.eot_token_id],
            on_logits=broken,
            stopping=stop_sequences_criteria(self.tokenizer, until, width, len(prompts)),
        )
        return [
            None
            if broken.within(index, answer)
            else str(
                postprocess_generated_text(
                    self.tokenizer.decode(answer, skip_special_tokens=True), until, None
                )
            )
            for index, answer in enumerate(tokens)
        ]

    def _fail(self, number: int, reason: str) -> None:
        instance = self._instances[number]
        self.failed.setdefault((instance.task_name, instance.doc_id), reason)


def _is_greedy(loaded: LoadedModel, requests: Sequence[Request]) -> list[bool]:
    """Whether every token of a continuation is the likeliest one."""
    greedy = [False] * len(requests)
    for places in side_by_side(loaded.model, [len(request) for request in requests]):
        some = [requests[place] for place in places]
        columns = max(len(request.continuation) for request in some)
        with torch.inference_mode():
            _, logits = last_logits(loaded.model, [request.ids for request in some], columns)
        likeliest = logits.argmax(-1).cpu()  # (rows, columns)
        for row, (place, request) in enumerate(zip(places, some, strict=True)):
            own = likeliest[row, -len(request.continuation) :].tolist()
            greedy[place] = own == request.continuation
    return greedy
