"""Two stages with a plain transformers.Trainer, unprotected and protected by two lines.

Takes under a minute on one core; nothing is downloaded.
"""

from __future__ import annotations

import tempfile

from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

import forgetless
from forgetless.methods import Replay
from tiny import accuracy, tiny_model, tokenised


def trainer_for(model, tokenizer, task):
    """Make the Trainer of one stage."""
    return Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=tempfile.mkdtemp(),
            num_train_epochs=45,
            per_device_train_batch_size=6,
            learning_rate=2e-3,
            report_to="none",
            logging_strategy="no",
            save_strategy="no",
            disable_tqdm=True,
            use_cpu=True,
        ),
        train_dataset=tokenised(task, tokenizer),
        data_collator=DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=-100),
    )


for protected in (False, True):
    model, tokenizer = tiny_model()
    methods = [Replay(ratio=0.2)] if protected else []

    trainer = trainer_for(model, tokenizer, "cities")
    forgetless.protect(trainer, methods)
    trainer.train()
    learned = accuracy(model, tokenizer, "cities")
    trainer.protection.end_stage()

    trainer_two = trainer_for(model, tokenizer, "foods")
    forgetless.protect(trainer_two, trainer.protection)
    trainer_two.train()
    kept, new = (accuracy(model, tokenizer, task) for task in ("cities", "foods"))
    print(
        f"{'protected' if protected else 'plain':>9}: "
        f"cities {learned:.2f} -> {kept:.2f} after foods; foods {new:.2f}"
    )
