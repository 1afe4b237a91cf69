"""Other tools' results: lm-evaluation-harness and inspect read, the former written as well."""
