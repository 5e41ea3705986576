# Two commands are all the set-up there is: `make demo` and `make test`. Each makes the environments it needs below .venv.
# Works with Python 3.11 and 3.12; name another one with `make PYTHON=/path/to/python3.12 …`. `make lines` also takes
# newer ones, where there are any.

SHELL := /bin/bash
PYTHON := $(shell PYTHON='$(PYTHON)' scripts/find-python)
BIN := .venv/3.3/bin
UV := .venv/uv/bin/uv

# Every Airflow line that is supported, and `lowest`: the lowest version of all that pyproject.toml names.
LINES := 2.11 3.0 3.1 3.2 3.3 lowest
# The newest Python that the line runs on, where there is one.
LINE_PYTHONS_2.11 := 3.12 3.11
LINE_PYTHONS_3.0 := 3.12 3.11
LINE_PYTHONS_3.1 := 3.13 3.12 3.11
LINE_PYTHONS_3.2 := 3.13 3.12 3.11
LINE_PYTHONS_3.3 := 3.13 3.12 3.11
LINE_PYTHONS_lowest := 3.11 3.12
# First sync, only changes, several destinations, guards, dry run, deferral, retirement, links and forms; and a task that
# is killed and retried by a real scheduler.
MAIN_CASES := tests/cluster/test_main_cases.py tests/cluster/test_quiet_logs.py tests/cluster/test_real_kill.py \
  tests/transfers/test_operator.py tests/transfers/test_on_guard.py tests/operators/test_retire_trait.py \
  tests/operators/test_verify.py tests/links tests/triggers tests/test_provider_info.py tests/ui_server

# Besides, where the line differs from 3.3, whose whole suite `make test` runs: a question waits in a triggerer on 3.1
# and 3.2, and a watcher has no shared stream and no store before 3.3.
LINE_CASES_3.0 := tests/cluster/test_watchers.py
LINE_CASES_3.1 := tests/cluster/test_guard_asks.py
LINE_CASES_3.2 := tests/cluster/test_guard_asks.py

# What imports no Airflow does the same on each line; it is tested on 3.3.
WITHOUT_AIRFLOW := tests/benchmarks tests/core tests/faults tests/rivals tests/sandbox tests/second_opinions

CORE := tests/core airflow_provider_amplitude_segment/core
CLIENTS := tests/clients airflow_provider_amplitude_segment/clients

# Two at a time, each with some workers: a test waits half of its time, for Airflow and for servers that are slow on purpose.
ifneq ($(filter test tests lines,$(MAKECMDGOALS)),)
MAKEFLAGS += --jobs=2 --output-sync=target --no-print-directory
endif

export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PYTHONWARNINGS =

.PHONY: announce demo docs quick release-check test faults cluster-test ui-test bench lint types layers audit tests test-core test-2.11 test-3.3 lines $(LINES:%=line-%) wheel format clean

demo: .venv/3.3/ready ## A real Airflow syncs a cohort twice against the sandbox, and the outcome is compared.
	$(BIN)/python scripts/demo.py

test: lint types layers audit tests docs wheel ## Everything but `make lines`, which CI runs besides.

tests: announce test-3.3 test-2.11 test-core

announce:
	@echo "The tests on Airflow 3.3 and 2.11 run side by side. Each prints when it has ended."

lint: .venv/3.3/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/3.3/ready
	$(BIN)/mypy

layers: .venv/3.3/ready
	$(BIN)/lint-imports

audit: .venv/3.3/ready ## Known vulnerabilities in what is pinned; says so where PyPI's advisories are not reached.
	$(BIN)/python scripts/audit.py constraints/airflow-2.11.txt constraints/airflow-3.3.txt

# Core, with the coverage of its branches; the floor is in pyproject.toml.
test-core: .venv/3.3/ready
	$(BIN)/python -m pytest -n 2 $(CORE) --cov

test-3.3: .venv/3.3/ready .venv/second-opinions/ready
	.venv/3.3/bin/python -m pytest -n 3 tests airflow_provider_amplitude_segment $(CORE:%=--ignore=%)

test-2.11: .venv/2.11/ready
	.venv/2.11/bin/python -m pytest -n 2 tests $(WITHOUT_AIRFLOW:%=--ignore=%)

lines: $(LINES:%=line-%) ## The main cases on every supported Airflow line, and on the lowest versions that are named; one: make line-3.1.

$(LINES:%=line-%): line-%: .venv/line-%/ready
	.venv/line-$*/bin/python -m pytest $(MAIN_CASES) $(LINE_CASES_$*)

faults: .venv/3.3/ready ## Hundreds of seeded histories with faults and 10,000 bad inputs, e.g. make faults FAULTS="--seed 7 --histories 1".
	PYTHONPATH=tests $(BIN)/python -m faults $(FAULTS)

cluster-test: .venv/3.3/ready-for-cluster ## 40 cohorts over two Celery workers, one of which is killed; on Debian's Redis and PostgreSQL.
	scripts/debian-servers
	$(BIN)/python -m pytest --log-cli-level=INFO tests/celery_cluster

ui-test: .venv/3.3/ready .venv/2.11/ready .venv/ui/ready ## Headless Chromium uses Airflow 3.3 as a user does, and writes docs/images/; 2.11 by commands.
	scripts/debian-chromium
	rm -rf .venv/ui/wheel
	$(BIN)/python -m build --no-isolation --wheel --outdir .venv/ui/wheel >.venv/ui/build.log
	.venv/ui/bin/python -m pip install -qq --no-deps --force-reinstall .venv/ui/wheel/*.whl
	.venv/ui/bin/pytest --log-cli-level=INFO tests/ui
	.venv/2.11/bin/pytest --log-cli-level=INFO tests/ui/test_commands.py

bench: .venv/3.3/ready-for-benchmarks ## Speed, memory, pace and growth beside the peers; a few quick ones: make bench BENCH="--quick".
	PYTHONPATH=tests $(BIN)/python -m benchmarks $(BENCH)

quick: lint types layers ## Linters, types, layers, and the tests of core and of the clients.
	$(BIN)/python -m pytest -n 2 $(CORE) $(CLIENTS)

# Sphinx reads the repository's root; docs/conf.py says which files are pages. It lists every warning before it fails.
docs: .venv/3.3/ready ## Build the site into dist/site; warnings are errors.
	rm -rf dist/site
	$(BIN)/python -m sphinx --fail-on-warning --quiet -c docs -b html -d .venv/doctrees --fresh-env . dist/site
	@echo "The site is in dist/site/index.html"

release-check: .venv/3.3/ready-for-release ## Version, changelog, wheel, sdist and README; for the release's commit: RELEASE=--final.
	$(BIN)/python scripts/check_release.py $(RELEASE)

wheel: .venv/3.3/ready ## Build wheel and sdist, and install the wheel where nothing else is.
	$(BIN)/python scripts/check_wheel.py

format: .venv/3.3/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .demo dist

# One environment for each Airflow line; what is in it is pinned by name and number in constraints/.
.venv/%/ready: pyproject.toml constraints/airflow-%.txt | .venv/uv/ready
	@test -n "$(PYTHON)"
	rm -rf .venv/$*
	"$(PYTHON)" -m venv .venv/$*
	$(UV) pip install -q --compile-bytecode --python .venv/$*/bin/python --constraint constraints/airflow-$*.txt \
	  --editable ".[sandbox,s3]" --group tests $(if $(filter 3.3,$*),--group lint --group docs --group messaging)
	@touch $@

# The same for `make lines`, on a Python of its own. Airflow 3.0 and 3.1 make connection forms only beside FAB.
.venv/line-%/ready: pyproject.toml constraints/airflow-%.txt | .venv/uv/ready
	rm -rf .venv/line-$*
	"$$(scripts/find-python $(LINE_PYTHONS_$*))" -m venv .venv/line-$*
	$(UV) pip install -q --compile-bytecode --python .venv/line-$*/bin/python --constraint constraints/airflow-$*.txt \
	  --editable ".[sandbox,s3]" --group tests $(if $(filter 3.0 3.1,$*),--group forms)
	@touch $@

.venv/uv/ready: constraints/uv.txt
	@test -n "$(PYTHON)"
	rm -rf .venv/uv
	"$(PYTHON)" -m venv .venv/uv
	.venv/uv/bin/python -m pip install -qq --requirement constraints/uv.txt
	@touch $@

# The browser test has an environment of its own, with the wheel installed: the checkout is not importable there.
.venv/ui/ready: pyproject.toml constraints/airflow-3.3.txt | .venv/uv/ready
	@test -n "$(PYTHON)"
	rm -rf .venv/ui
	"$(PYTHON)" -m venv .venv/ui
	$(UV) pip install -q --compile-bytecode --python .venv/ui/bin/python --constraint constraints/airflow-3.3.txt ".[sandbox]" --group ui
	@touch $@

# What only the cluster test needs goes into the same environment: none of it touches what is there.
.venv/3.3/ready-for-cluster: .venv/3.3/ready
	$(UV) pip install -q --compile-bytecode --python $(BIN)/python --constraint constraints/airflow-3.3.txt --group cluster
	@touch $@

# What is only measured beside the package. Without npm, Segment's library for Node.js is left out.
.venv/3.3/ready-for-benchmarks: .venv/3.3/ready tests/benchmarks/node/package.json
	$(UV) pip install -q --compile-bytecode --python $(BIN)/python --constraint constraints/airflow-3.3.txt --group benchmarks
	rm -rf .venv/node && mkdir .venv/node && cp tests/benchmarks/node/package.json .venv/node/
	npm install --prefix .venv/node --no-package-lock --no-audit --no-fund --silent || \
	  echo "@segment/analytics-node is left out: npm is missing, or cannot install it"
	@touch $@

# Segment's clients that tests/second_opinions runs against the sandbox. Without npm, they are skipped.
.venv/second-opinions/ready: tests/second_opinions/package.json
	rm -rf .venv/second-opinions && mkdir -p .venv/second-opinions && cp $< .venv/second-opinions/
	if command -v npm >/dev/null; then \
	  npm install --prefix .venv/second-opinions --no-package-lock --no-audit --no-fund --silent; \
	else echo "npm is missing, so Segment's clients for Node.js are not asked"; fi
	@touch $@

.venv/3.3/ready-for-release: .venv/3.3/ready
	$(UV) pip install -q --compile-bytecode --python $(BIN)/python --constraint constraints/airflow-3.3.txt --group release
	@touch $@
