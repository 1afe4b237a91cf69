"""Write docs/plan.md from the plan's own field descriptions.

Command: ``python docs/make_plan_reference.py``; a test holds the file up to date.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from forgetless.methods import METHODS
from forgetless.plan import (
    BudgetConfig,
    HostedConfig,
    ModelConfig,
    Plan,
    Prices,
    TaskConfig,
    TrainingConfig,
)
from forgetless.plan.described import REQUIRED, Setting, described

HEAD = """# Plan reference

A plan is a YAML file; `forgetless init` writes a commented one from your data, and
`forgetless run plan.yaml --dry-run` checks it. Paths in a plan, also those given by `--set`, are
relative to the plan file; run folders named to `--share-with` and `report` are relative to where you
are. Any key can be replaced on the command line: `--set training.learning_rate=5e-5`,
`--set sequence.0.limit=50`.
Unknown keys are refused. This page is written by `docs/make_plan_reference.py` from the code.

```yaml
model: HuggingFaceTB/SmolLM2-135M-Instruct
sequence:
  - medical.jsonl                 # the short form: a training source
  - name: legal
    train: legal.csv
    test: legal_test.csv
    fields: {prompt: question_text, completion: reply}
    score: token_f1
test_only:
  - test: bundled:general_knowledge
methods:
  - replay: {ratio: 0.1}
  - lora
training: {epochs: 2, learning_rate: 1e-4}
output: runs/first
```

"""

DATA = """
## Data

A source is a JSONL, JSON, CSV or Parquet file, a folder of such files, a dataset of the hub
(`hub:OWNER/NAME`, or `hub:OWNER/NAME@REVISION`) or a bundled task (`bundled:NAME`). Its rows have one of these shapes, found by
their field names; `fields` maps other names to ours (`--fields prompt=question_text,completion=reply` for `init`, `audit` and
`repair`). They are those of TRL, Axolotl and
LLaMA-Factory: [from your script](from_your_script.md).

| fields | meaning |
|---|---|
| `messages` | a chat; every assistant turn is learned, the last one is the answer in a test |
| `conversations` | a chat as ShareGPT has it: `from` and `value` in place of `role` and `content` |
| `question`, `choices`, `answer` | multiple choice; the answer is a choice, its letter or its index from 0 (choices that are numbers have no index) |
| `prompt`, `completion` | one exchange, each text or a list of messages |
| `instruction`, `output` | one exchange as Alpaca has it; `input` is put on the next line, `history` holds earlier pairs |
| `question`, `answer` | one exchange |
| `text` | plain text, all of it learned |

`aliases` (further right answers, a list or separated by `|`), `system`, `id` and `group` are read
where present. Rows of one `group`, such as the questions on one passage, are not independent: they
are held out together, never divided between the items that choose and those that certify, and
drawn together in every interval and test. So are test items that ask the same; groups that share an item are one. What comes from the hub, models too, is taken at the commit
that its branch stands for when the run begins; the run's manifest and `plan.yaml` name it. Bundled tasks: {bundled}.
"""


def table(config: type[BaseModel]) -> str:
    """The keys of a part of the plan as a Markdown table."""
    lines = ["| key | values | default | meaning |", "|---|---|---|---|"]
    for setting in described(config):
        default = REQUIRED if setting.default == REQUIRED else f"`{setting.default}`"
        meaning = setting.meaning.replace("|", "\\|")
        lines.append(f"| `{setting.name}` | {_values(setting)} | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def _values(setting: Setting) -> str:
    """The values, with a link to the part of the page that is about them."""
    values = setting.values.replace("|", "\\|")
    if setting.section is None:
        return values
    anchor = "methods" if setting.section == "method" else setting.section
    return values.replace(setting.section, f"[{setting.section}](#{anchor})")


def sharding() -> str:
    """Which methods can, as they are by default, train weights in parts, or under DeepSpeed."""
    reasons = {name: method().excludes_sharding for name, method in METHODS.items()}
    can = ", ".join(f"`{name}`" for name, reason in reasons.items() if not reason)
    lines = [
        f"\n### With sharded weights\n\nUnder [FSDP2](processes.md#sharded-weights): {can}. Not:\n"
    ]
    lines += [f"- `{name}`: {reason}" for name, reason in reasons.items() if reason]
    reasons = {name: method.excludes_deepspeed() for name, method in METHODS.items()}
    can = ", ".join(f"`{name}`" for name, reason in reasons.items() if not reason)
    lines.append(
        f"\n### With DeepSpeed\n\nUnder [ZeRO 1 and 2](processes.md#deepspeed): {can}. Not:\n"
    )
    lines += [f"- `{name}`: {reason}" for name, reason in reasons.items() if reason]
    return "\n".join(lines) + "\n"


def reference() -> str:
    """The whole page."""
    from forgetless.tasks.bundled import BUNDLED_TASKS

    parts = [HEAD, "## Plan\n\n", table(Plan)]
    parts += ["\n## Model\n\nA name alone is enough.\n\n", table(ModelConfig)]
    parts += ["\n## Task\n\nA training source alone is enough.\n\n", table(TaskConfig)]
    parts.append(DATA.replace("{bundled}", ", ".join(f"`{name}`" for name in BUNDLED_TASKS)))
    parts += ["\n## Training\n\n", table(TrainingConfig)]
    parts += ["\n## Budget\n\nA share alone is enough: `budget: 2%`. [More](budget.md).\n\n"]
    parts.append(table(BudgetConfig))
    parts += ["\n## Hosted\n\nFor a model named `openai:NAME`. [More](hosted.md).\n\n"]
    parts += [table(HostedConfig), "\n### Prices\n\n", table(Prices)]
    parts.append("\n## Methods\n\nEach by name, or with options: `replay: {ratio: 0.1}`.\n")
    for name, method in METHODS.items():
        first = (method.__doc__ or "").splitlines()[0]
        parts.append(f"\n### {name}\n\n{first} [More](methods/{name}.md).\n")
        if method.Config.model_fields:
            parts.append("\n" + table(method.Config))
    parts.append(sharding())
    return "".join(parts)


if __name__ == "__main__":
    Path(__file__).with_name("plan.md").write_text(reference(), encoding="utf-8")
