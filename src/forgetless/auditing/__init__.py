"""What did this fine-tune lose: two or more models asked the same, and what became of each task."""
