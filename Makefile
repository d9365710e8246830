# Everything sets itself up: only Python 3.11+ and make are needed. PYTHON=... picks the interpreter, VENV=... the place.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SAM_STAMP := .venv-sam/.installed
MINISTACK_STAMP := .venv-ministack/.installed
BROWSER_STAMP := $(VENV)/.browser
DOCS_STAMP := .venv-docs/.installed
CDK_STAMP := .venv-cdk/.installed
SUDO ?= $(if $(filter 0,$(shell id -u)),,sudo)
DEMO ?=
SHOTS ?=
RUNS ?= 200
SEEDS ?= 0-20000
export PYTHONPATH := $(CURDIR)

.PHONY: demo test test-browser test-quick test-all check smoke bench fuzz sigkill night torture worlds mutations model wheel clean limits hostile agents bench-agents test-upgrades docs reliability try-wheel sbom release

$(STAMP): pyproject.toml durable_fn/__init__.py
	@$(PYTHON) -c 'import sys; sys.exit("durable_fn needs Python 3.11 or later; set PYTHON=...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(STAMP)

# SAM and the emulator pin what the package does not want pinned: each has an environment of its own, made once.
$(SAM_STAMP): deploy/sam.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

$(MINISTACK_STAMP): localstack/ministack.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

## demo: an order is fulfilled, its worker is killed halfway, another one finishes it (DEMO="ai_agent", DEMO="--fail-warehouse --speed 5", DEMO=--list)
demo: $(STAMP)
	@$(BIN)/durable-fn demo $(DEMO)

## test: the whole suite on this Python
test: $(STAMP) $(SAM_STAMP) $(MINISTACK_STAMP)
	$(BIN)/python -m pytest -n 3 --dist worksteal --ignore=tests/deploy

$(DOCS_STAMP): docs/requirements.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# CDK runs on Node: without one its snippet is not synthesised.
$(CDK_STAMP): deploy/cdk.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

## docs: the documentation site into dist/docs, strict, and looked over; open dist/docs/index.html
docs: $(STAMP) $(DOCS_STAMP) $(if $(shell command -v node),$(CDK_STAMP))
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict
	DURABLE_FN_SITE=dist/docs $(BIN)/python -m pytest -n 0 tests/site tests/docs/test_deploying.py

# Debian's chromium, which Playwright drives; elsewhere a chromium or chrome that is there is taken.
$(BROWSER_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[browser]'
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || \
	  { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends chromium fonts-liberation; }
	@touch $@

## test-browser: the dashboard and the documentation in a real browser (SHOTS=FOLDER keeps pictures); installs chromium where there is none
test-browser: $(BROWSER_STAMP) docs
	DURABLE_FN_SITE=dist/docs DURABLE_FN_BROWSER_TESTS=1 DURABLE_FN_SCREENSHOTS='$(SHOTS)' $(BIN)/python -m pytest -n 0 tests/browser

## test-quick: what notices most mistakes, in under a minute: the core, the rules of both fronts, the corpus on SQLite, import directions
test-quick: $(STAMP)
	$(BIN)/python -m pytest -n 3 --dist worksteal tests/test_layout.py tests/core tests/corpus/test_corpus.py tests/protocol/test_rules.py \
	  tests/fronts/test_lines.py tests/fronts/test_unwound_code.py tests/fronts/test_native_cancellations.py \
	  tests/fronts/test_changed_code.py tests/fronts/test_steps.py tests/fronts/test_mismatch.py \
	  tests/docs/test_architecture.py -k 'not aws and not may_die'

## test-all: the suite on every Python from 3.11 to 3.13 that is installed
test-all:
	@for version in 3.11 3.12 3.13; do \
	  for python in python$$version $$(ls -d $$HOME/.pyenv/versions/$$version.*/bin/python 2>/dev/null); do \
	    if $$python -c '' 2>/dev/null; then \
	      echo "== Python $$version ($$python)"; \
	      $(MAKE) --no-print-directory test PYTHON=$$python VENV=.venv-$$version || exit 1; \
	      break; \
	    fi; \
	  done; \
	done

## check: formatting, lint, types, import directions
check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/basedpyright --project handlers_demo --pythonpath $(BIN)/python --level error
	$(BIN)/python -m pytest -n 0 tests/test_layout.py

## smoke: template.yaml deployed onto ministack, and used (about a minute)
smoke: $(STAMP) $(SAM_STAMP) $(MINISTACK_STAMP)
	$(BIN)/python -m pytest -n 0 -s tests/deploy

## bench: requests and capacity per scenario, CPU and wall per step, import times; cold starts where ministack is installed
bench: $(STAMP)
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks --runtime

## sigkill: 200 orders whose workers are killed at random moments (RUNS=...)
sigkill: $(STAMP)
	$(BIN)/python -m benchmarks.sigkill $(RUNS)

## fuzz: random workflows in both fronts with deaths, cancellations and signals (SEEDS=FIRST-LAST)
fuzz: $(STAMP)
	$(BIN)/python -m tests.fuzz def $(SEEDS)
	$(BIN)/python -m tests.fuzz async $(SEEDS)

## worlds: many bad days around the journal on a local cloud (WORLDS=FIRST-LAST)
WORLDS ?= 1-300
worlds: $(STAMP)
	$(BIN)/python -m tests.faults $(WORLDS)

## torture: an hour of simulated deaths and bad days on the AWS code path; goes on where the last run ended, and adds up (MINUTES=...)
MINUTES ?= 60
torture: $(STAMP)
	$(BIN)/python -m tests.torture --minutes $(MINUTES)

## night: failed, held, stuck and overdue executions among 5,000, found and mended with the command alone (EXECUTIONS=...)
EXECUTIONS ?= 5000
night: $(STAMP)
	$(BIN)/python -m tests.cli.night $(EXECUTIONS)

## reliability: the figures of docs/reliability.md, from what torture, limits and hostile have kept
reliability: $(STAMP)
	$(BIN)/python -m tests.torture.report

## limits: long logs, many timers and signals, a full disk, a soak under SIGKILL, with what each took (many minutes; LIMITS="inbox signals")
LIMITS ?=
limits: $(STAMP)
	$(BIN)/python -m tests.limits $(LIMITS)

## hostile: a million inputs that nobody should send; goes on where the last run ended (BLOWS=...)
BLOWS ?= 1000000
hostile: $(STAMP)
	$(BIN)/python -m tests.hostile --blows $(BLOWS)

## agents: agents of three frameworks die at every request, on both journals, and 100 runs of each are killed with SIGKILL (KILLS=...)
KILLS ?= 100
agents: $(STAMP)
	$(BIN)/python -m tests.ext.agents
	$(BIN)/python -m benchmarks.agents.kills $(KILLS)

## bench-agents: what a run of an agent costs in write units, beside LangGraph with its checkpoints in DynamoDB
bench-agents: $(STAMP)
	$(BIN)/python -m benchmarks.agents.costs

## test-upgrades: a run that waits for a human goes on with the next minor release of its framework (two releases are installed in turn)
test-upgrades: $(STAMP)
	$(BIN)/python -m tests.upgrades

## mutations: takes each rule of the protocol away and shows that a test notices (some minutes)
mutations: $(STAMP)
	$(BIN)/python -m tests.protocol.mutations

## model: searches the models of the protocol and of long lives with two faults, and without each of their rules (many minutes)
model: $(STAMP)
	$(BIN)/python -m tests.protocol.model
	$(BIN)/python -m tests.protocol.life_model

## wheel: wheel and sdist into dist/; the same bytes for the same commit
wheel: $(STAMP)
	rm -f dist/durable_fn-*
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct 2>/dev/null || echo 1577836800) $(BIN)/python -m hatchling build -t sdist -t wheel -d dist

## try-wheel: what is in dist/ is installed into an empty environment, and used: the command, a demo, the starter's own test
try-wheel: wheel
	rm -rf .venv-wheel && $(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/python -m pip install --quiet --disable-pip-version-check "$$(ls dist/durable_fn-*.whl)[cli]"
	there=$$(mktemp -d) && trap 'rm -rf "$$there"' EXIT && unset PYTHONPATH && export PATH="$(CURDIR)/.venv-wheel/bin:$$PATH" && cd "$$there" && \
	  durable-fn --version && durable-fn demo --speed 20 >demo.txt && durable-fn init project && \
	  PIP_FIND_LINKS="$(CURDIR)/dist" $(MAKE) --no-print-directory -C project test PYTHON=python

## sbom: dist/durable_fn-VERSION.cdx.json: what `pip install durable-fn` brings, in CycloneDX
sbom: wheel
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[release]'
	rm -rf .venv-sbom && $(PYTHON) -m venv --without-pip .venv-sbom
	$(BIN)/python -m pip --python .venv-sbom/bin/python install --quiet --disable-pip-version-check dist/durable_fn-*.whl
	sed "s/^dynamic = .*/version = \"$$($(BIN)/python -m hatchling version)\"/" pyproject.toml >.venv-sbom/pyproject.toml
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct 2>/dev/null || echo 1577836800) $(BIN)/cyclonedx-py environment --output-reproducible \
	  --pyproject .venv-sbom/pyproject.toml --mc-type library -o "dist/$$(ls dist | sed -n 's/\(durable_fn-.*\)-py3-none-any.whl/\1/p').cdx.json" .venv-sbom/bin/python

## release: all that goes up, looked over: wheel, sdist, SBOM, checksums
release: try-wheel sbom
	$(BIN)/python -m twine check --strict dist/durable_fn-*.whl dist/durable_fn-*.tar.gz
	cd dist && sha256sum durable_fn-* >SHA256SUMS && cat SHA256SUMS

clean:
	rm -rf .venv .venv-* .aws-sam dist build .mypy_cache .ruff_cache .hypothesis
