"""An OpenAI-compatible server over forgetless's own trainer: jobs that do not forget."""
