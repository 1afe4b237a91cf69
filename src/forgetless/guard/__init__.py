"""A guard in someone's own training: old tasks are asked while a new one is learned.

guard = forgetless.RetentionGuard(["medical.jsonl"], every=200, on_break="rollback")
trainer = SFTTrainer(model, train_dataset=legal, callbacks=[guard])
trainer.train()
print(guard.summary())
"""

from forgetless.guard.callback import RetentionGuard
from forgetless.guard.history import Check
from forgetless.guard.judge import Finding

__all__ = ["Check", "Finding", "RetentionGuard"]
