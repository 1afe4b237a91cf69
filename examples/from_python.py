"""The same from Python: train two bundled tasks in turn, look at what was lost, load the result."""

from __future__ import annotations

import argparse

import forgetless

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", default="bundled:smollm2-135m-instruct")
parser.add_argument("--output", default="runs/from_python")
parser.add_argument("--rows", type=int, default=40, help="training rows of each task")
arguments = parser.parse_args()

result = forgetless.run(
    model=arguments.model,
    sequence=[
        {"train": "bundled:medical_shorthand", "train_limit": arguments.rows, "limit": 20},
        {"train": "bundled:legal_prose", "train_limit": arguments.rows, "limit": 10},
    ],
    methods=[{"replay": {"ratio": 0.2}}],
    training={"epochs": 1, "batch_size": 4, "learning_rate": 5e-4},
    output=arguments.output,
)
for stage, scores in zip(result.matrix.stages, result.matrix.values, strict=True):
    print(stage, scores)
print("forgetting:", result.forgetting)
print("report:", result.report().html)
print("model:", result.model_path())
