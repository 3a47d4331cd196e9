# Two commands matter: `make demo` and `make test`. Each builds .venv itself. `make install` is for production.
PYTHON ?= python3.11
PREFIX ?= /opt/risk-daemon
VENV ?= $(PREFIX)/.venv
SEEDS ?= 2000
SCHEDULES ?= 100000
SECONDS_OF_FUZZ ?= 300
BIN := .venv/bin
# Some machines forbid Python to keep what it compiled: then each process of the tests compiles every module again.
export PYTHONDONTWRITEBYTECODE :=
VIRTUAL_HOURS := $(addprefix tests/unit/engine/test_engine_,freeze.py baselines.py streams.py book.py)

PEOPLE := $(addprefix tests/e2e/test_,alerts.py alert_channels.py override.py override_attacks.py page.py watch.py)
# One file a line, in their order: whoever adds one meets nobody.
MACHINES := $(addprefix tests/e2e/test_, \
	broadcast.py \
	compose.py \
	day_snapshots.py \
	full_disk.py \
	fund.py \
	fund_commands.py \
	protector_agent.py \
	redis.py \
	state_on_a_server.py \
	twins.py)
PARTITIONS := tests/e2e/test_partitions.py

.PHONY: venv install wheel demo test long people people-again machines partitions cards cover lint sim fund-sim bench history explore fuzz try-bots examples docs picture requirements clean

venv: .venv/.built

# A line a step, and no more in a log: whoever waits should know for what.
.venv/.built: requirements/dev.txt pyproject.toml
	@echo "building .venv, once: one to two minutes"
	@echo "  1 of 3: an empty environment of $(PYTHON), some seconds"
	@$(PYTHON) -m venv --clear .venv
	@echo "  2 of 3: $$(grep -c '^[^ #].*==' requirements/dev.txt) packages, fetched and compared with their hashes: the minute or two"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@echo "  3 of 3: risk-daemon itself, some seconds"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# What the guard needs and nothing else, by hashes; not tied to this checkout. Again: the new version in its place.
install:
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall .
	$(VENV)/bin/risk-daemon --version

# For pipx and packages: the wheel, and the versions that it is tested with.
wheel: venv
	rm -rf dist
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation -w dist .
	sed -n 's/^\([A-Za-z0-9._-]*==[^ ]*\).*/\1/p' requirements/run.txt > dist/constraints.txt

demo: venv
	@$(BIN)/risk-daemon demo; code=$$?; \
	if [ $$code -eq 1 ]; then echo "demo: ended with exit code 1, as it must: triggered and proven"; \
	else echo "demo: ended with exit code $$code, expected 1" >&2; exit 1; fi

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/python -m pytest -n 4 --dist worksteal -m "not long" --ignore tests/cards tests

# Whole processes that wait for what takes its time, and the bugs that the simulation must find: a quarter of an hour.
long: venv
	$(BIN)/python -m pytest -n 4 --dist worksteal -m long --ignore tests/cards $(addprefix --ignore ,$(PEOPLE) $(MACHINES) $(PARTITIONS)) tests

# The same of those who are told and those who may resume, in a browser too.
people: venv
	$(BIN)/python -m pytest -n 4 --dist worksteal -m long $(PEOPLE)

# The same, and what failed of it once more, alone: four browsers on two cores now and then lose a key or a focus.
# Only after a run that came to its end with failures (1): what was not run at all is no success.
people-again: venv
	$(BIN)/python -m pytest -n 4 --dist worksteal -m long $(PEOPLE) || { [ $$? -eq 1 ] && \
		$(BIN)/python -m pytest -m long --last-failed --last-failed-no-failures none $(PEOPLE); }

# Of more than one machine: guards, bots and listeners as processes, with real servers between them.
machines: venv
	$(BIN)/python -m pytest -n 4 --dist worksteal -m long $(MACHINES)

# Of guards, stores, Redis and venue on machines of their own, each pair cut from each other: ten minutes, and its table.
partitions: venv
	$(BIN)/python -m pytest -n 4 --dist worksteal -m long $(PARTITIONS)

# One contract over every venue, the whole daemon on each included.
cards: venv
	$(BIN)/python -m pytest -n 4 --dist worksteal tests/cards

# How many lines the tests reach; fewer than nine of ten fail. Traced, virtual hours take several times as long.
cover: venv
	rm -f .coverage .coverage.*
	$(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term \
		tests/unit tests/contract tests/seeds tests/simulated $(addprefix --ignore ,$(VIRTUAL_HOURS))

sim: venv
	$(BIN)/python -m tests.simulated.run --seeds $(SEEDS)

# Budgets of a fund under crashes, partitions and restored ledgers; ten minutes.
fund-sim: venv
	$(BIN)/python -m tests.simulated.fund_run --seeds $(SCHEDULES)

bench: venv
	$(BIN)/python -m benchmarks

# Every profile on every real day; some minutes.
history: venv
	$(BIN)/python -m risk_daemon replay all --profile all --markdown > docs/history.md.new
	mv docs/history.md.new docs/history.md

# Properties with other cases each time: what `make test` tries is the same for one commit.
explore: venv
	HYPOTHESIS_PROFILE=explore $(BIN)/python -m pytest -n 2 tests/property tests/unit/oms/test_sweep.py

fuzz: venv
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS_OF_FUZZ)

# The mixins for bots against the bots themselves, each in an environment of its own: they bring what we don't want.
BOTS := freqtrade nautilus_trader jesse
examples: try-bots

try-bots: $(addprefix try-,$(BOTS))

try-%:
	$(PYTHON) -m venv .venv-bots/$*
	.venv-bots/$*/bin/python -m pip install --quiet --disable-pip-version-check $* pytest
	PYTHONPATH=. .venv-bots/$*/bin/python -m pytest -c /dev/null --rootdir . -p no:cacheprovider -p no:anyio --noconftest \
		tests/bots/test_$(firstword $(subst _, ,$*)).py

# The pages as a site, in site/: strict, a link that leads nowhere ends it.
docs: .venv-docs/.built
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --quiet
	@echo "site/index.html"

.venv-docs/.built: requirements/docs.txt
	$(PYTHON) -m venv --clear .venv-docs
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/docs.txt
	touch $@

# The picture of the operator's page, docs/page.png: simulated venues, a daemon, a browser.
picture: venv
	$(BIN)/python -m tests.picture

requirements: venv
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --python-version 3.11 --generate-hashes --no-header --no-annotate --extra dev -o requirements/dev.txt pyproject.toml
	$(BIN)/uv pip compile --python-version 3.11 --generate-hashes --no-header --no-annotate --extra postgres --extra redis --extra kafka -o requirements/run.txt -c requirements/dev.txt pyproject.toml
	$(BIN)/uv pip compile --python-version 3.11 --generate-hashes --no-header --no-annotate --extra docs -o requirements/docs.txt -c requirements/dev.txt pyproject.toml

clean:
	rm -rf .venv .venv-bots .venv-docs dist site .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
