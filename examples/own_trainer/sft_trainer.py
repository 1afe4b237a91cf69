"""Two stages with TRL's SFTTrainer, unprotected and protected by two lines.

Takes under a minute on one core; no model is downloaded.  Needs trl:
pip install -c constraints.txt trl
"""

from __future__ import annotations

import tempfile

try:
    from trl import SFTConfig, SFTTrainer
except ModuleNotFoundError:
    raise SystemExit("this example needs trl:  pip install -c constraints.txt trl") from None

import forgetless
from forgetless.methods import Replay
from tiny import accuracy, conversations, tiny_model


def trainer_for(model, tokenizer, task):
    """Make the SFTTrainer of one stage."""
    return SFTTrainer(
        model,
        args=SFTConfig(
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
        train_dataset=conversations(task),
        processing_class=tokenizer,
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
