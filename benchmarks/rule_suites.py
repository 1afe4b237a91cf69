"""What a model scores on the suites that rules check, level by level.

    OMP_NUM_THREADS=1 python -m benchmarks.rule_suites --items 60

Prints a Markdown table: items, strict and loose score, share of the rules met, seconds of CPU.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from statistics import fmean

from forgetless.evaluation.result import ItemResult
from forgetless.evaluation.scorer import score_task
from forgetless.models.load import load_model
from forgetless.plan import ModelConfig, Plan
from forgetless.tasks.task import load_tasks

SUITES = ("instructions", "format", "safety")


def main() -> None:
    """Ask, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="bundled:smollm2-135m-instruct")
    parser.add_argument("--items", type=int, default=60)
    parser.add_argument("--outputs", action="store_true", help="print what the model said, too")
    asked = parser.parse_args()
    plan = Plan.model_validate(
        {
            "model": asked.model,
            "sequence": ["bundled:medical_shorthand"],  # a plan needs one; it is not asked
            "test_only": [{"test": f"bundled:{name}", "limit": asked.items} for name in SUITES],
        }
    )
    loaded = load_model(ModelConfig(name=asked.model))
    print("| suite | part | items | strict | loose | rules met | CPU s |")
    print("|---|---|---|---|---|---|---|")
    for task in load_tasks(plan):
        if task.name not in SUITES:
            continue
        started = time.process_time()
        found = [result for batch in score_task(loaded, task, 16) for result in batch]
        seconds = time.process_time() - started
        parts: dict[str, list[ItemResult]] = defaultdict(list)
        for result in found:
            parts[result.item.split("/")[0]].append(result)
        for part, results in [*sorted(parts.items()), ("all", found)]:
            figures = (
                f"{fmean(result.readings[name] for result in results):.2f}"
                for name in ("strict", "loose", "share")
            )
            cost = f"{seconds:.0f}" if part == "all" else ""
            print(f"| {task.name} | {part} | {len(results)} | {' | '.join(figures)} | {cost} |")
        if asked.outputs:
            for result in found:
                print(f"\n[{result.item}] {result.readings}\n{result.output}")


if __name__ == "__main__":
    main()
