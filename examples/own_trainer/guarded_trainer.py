"""A second stage that forgets the first, watched by a guard that stops it and goes back.

Takes under a minute on one core; nothing is downloaded.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

import forgetless
from tiny import TASKS, accuracy, tiny_model, tokenised

folder = Path(tempfile.mkdtemp())
cities = folder / "cities.jsonl"
cities.write_text(
    "".join(json.dumps({"prompt": q, "completion": a}) + "\n" for q, a in TASKS["cities"])
)


def trainer_for(model, tokenizer, task, learning_rate, callbacks):
    """Make the Trainer of one stage."""
    return Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(folder / task),
            num_train_epochs=45,
            per_device_train_batch_size=6,
            learning_rate=learning_rate,
            report_to="none",  # or "wandb", "tensorboard": the guard's figures go there too
            logging_strategy="no",
            save_strategy="no",
            disable_tqdm=True,
            use_cpu=True,
        ),
        train_dataset=tokenised(task, tokenizer),
        data_collator=DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=-100),
        processing_class=tokenizer,
        callbacks=callbacks,
    )


model, tokenizer = tiny_model()
trainer_for(model, tokenizer, "cities", 2e-3, []).train()

guard = forgetless.RetentionGuard([cities], every=5, budget=0.2, on_break="rollback")
trainer = trainer_for(model, tokenizer, "foods", 2e-4, [guard])
trainer.train()

print(guard.summary())
for check in guard.history:
    print(f"step {check.step:>2}: cities {check.score('cities'):.2f}")
print(f"now: cities {accuracy(model, tokenizer, 'cities'):.2f}, stopped at {guard.stopped_at}")
