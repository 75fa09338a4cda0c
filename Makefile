# featsim: `make help` lists what there is. Works with GNU make 3.81 (macOS) and newer.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq

# QUICK=1 and FULL=1 are other sizes of the same figures, each with folders of its own.
QUICK ?= 0
FULL ?= 0
ifeq ($(QUICK)$(FULL),11)
$(error QUICK=1 and FULL=1 exclude each other)
endif
ifeq ($(QUICK),1)
SIZE := quick
else ifeq ($(FULL),1)
SIZE := full
endif
FIGDIR := figures$(SIZE:%=/%)
RESDIR := results$(SIZE:%=/%)

# Figures are drawn side by side; a single figure uses the cores itself.
JOBS ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)

FIGURES := $(sort $(patsubst experiments/plot_%.py,%,$(wildcard experiments/plot_*.py)))
# A result depends on everything that the package computes and draws with.
SOURCES := $(shell find featsim -name '*.py' -o -name '*.npz' -o -name '*.mplstyle') $(wildcard experiments/_*.py)

.DELETE_ON_ERROR:
.SUFFIXES:

.PHONY: help
help: ## list the targets
	@echo 'Targets (make TARGET):'
	@awk -F ':.*## ' '/^[a-zA-Z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile
	@echo '  figure-NAME    draw one figure; NAME is one of:'
	@for name in $(FIGURES); do echo "                   $$name"; done
	@echo 'Variables:'
	@echo '  QUICK=1        figures at test size, into figures/quick and results/quick'
	@echo '  FULL=1         figures at full size, into figures/full and results/full'
	@echo '  DATA=DIR       folder of MNIST, Fashion-MNIST, CIFAR-10, SVHN files for figures-images'
	@echo '  JOBS=N         figures drawn at the same time (default: the number of cores)'
	@echo '  TEST_JOBS=N    test files run at the same time, at most 4 (default: the number of cores)'
	@echo '  PYTHON=...     the Python (3.11 to 3.13) that makes $(VENV); now $(PYTHON)'

# --- Environment. One stamp for what figures need, one for what developing needs. ---

.PHONY: env
env: $(VENV)/.installed-dev ## create .venv with featsim and all tools for working on it

# The oldest pip that Python 3.11 ships is enough. A virtual environment left half made has no stamp.
$(VENV)/.installed: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "featsim needs Python 3.11, 3.12 or 3.13; $(PYTHON) is: $$($(PYTHON) --version 2>&1)."; \
	  echo "Name another one, for example: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; } >&2
	@echo 'Installing featsim into $(VENV) ...'
	@$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@$(PIP) install -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo 'Installing the development tools into $(VENV) ...'
	@$(PIP) install -e '.[dev]'
	@touch $@

# --- Checks ---

.PHONY: test test-slow lint coverage
TEST_JOBS ?= $(JOBS)
# Files run side by side. Whole files go to one process each: a file's fixtures are made once. Each process
# compiles what its files need, so more than four gain nothing.
test: $(VENV)/.installed-dev ## run the test suite
	$(BIN)/python -m pytest -q -m 'not slow' $(if $(filter-out 1,$(TEST_JOBS)),-n $(TEST_JOBS) --maxprocesses 4 --dist loadfile)

test-slow: $(VENV)/.installed-dev ## run the tests that take longer
	$(BIN)/python -m pytest -q -m slow

lint: $(VENV)/.installed-dev ## check style, types, imports between rooms and docstrings
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/check_docstrings.py

coverage: $(VENV)/.installed-dev ## measure which lines the tests run (compiled code as plain Python)
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -q -m 'not slow' --cov --cov-report=term --cov-report=html

# --- Results ---

.PHONY: figures claims bench
# One program for all, which draws what is older than its sources: it starts JOBS processes, not one per figure.
figures: | $(VENV)/.installed ## draw every figure
	@TQDM_DISABLE=1 $(BIN)/python experiments/figures.py --figures $(FIGDIR) --results $(RESDIR)$(SIZE:%= --%) \
	  --jobs $(JOBS)

# Explicit targets, so that make does not take the pictures for intermediate files.
FIGURE_TARGETS := $(FIGURES:%=figure-%)
.PHONY: $(FIGURE_TARGETS)
$(FIGURE_TARGETS): figure-%: $(FIGDIR)/%.png $(FIGDIR)/%.pdf $(RESDIR)/%.npz

figure-%:
	@echo 'There is no figure $*; there are: $(FIGURES)' >&2; exit 1

# One run of the script makes all three. They are touched because a script may find its result
# already computed; a script that forgets one is told so.
$(FIGDIR)/%.png $(FIGDIR)/%.pdf $(RESDIR)/%.npz: experiments/plot_%.py $(SOURCES) | $(VENV)/.installed
	@mkdir -p $(FIGDIR) $(RESDIR)
	$(BIN)/python experiments/plot_$*.py --figures $(FIGDIR) --results $(RESDIR)$(SIZE:%= --%)
	@for file in $(FIGDIR)/$*.png $(FIGDIR)/$*.pdf $(RESDIR)/$*.npz; do \
	  test -s $$file || { echo "experiments/plot_$*.py did not write $$file" >&2; exit 1; }; done
	@touch -c $(FIGDIR)/$*.png $(FIGDIR)/$*.pdf $(RESDIR)/$*.npz

# DATA=DIR holds the files of the sets as their authors publish them; the pictures are not for committing.
.PHONY: figures-images
figures-images: $(VENV)/.installed ## draw the figures on real images for the sets found under DATA=DIR
	$(BIN)/python experiments/figures_images.py $(if $(DATA),--data $(DATA)) \
	  --figures $(FIGDIR)/images --results $(RESDIR)/images$(if $(filter 1,$(QUICK)), --quick)

claims: $(VENV)/.installed ## check every claim of the theories and print the ledger
	$(BIN)/featsim claims

# PyTorch and JAX take part where they are: .venv/bin/pip install '.[bench]'
bench: $(VENV)/.installed ## measure speed and memory beside NumPy (and PyTorch, JAX) against the targets
	$(BIN)/python experiments/bench.py --results $(RESDIR)/bench$(SIZE:%= --%)

.PHONY: docs
docs: $(VENV)/.installed-dev ## build the documentation into docs/_build/html
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

# --- Cleaning ---

.PHONY: clean distclean
clean: ## remove figures, results, built documentation and caches
	rm -rf figures results docs/_build docs/_generated build dist htmlcov .coverage
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .benchmarks
	find . -name .venv -prune -o -name __pycache__ -prune -exec rm -rf {} +
	find . -name .venv -prune -o \( -name '*.nbi' -o -name '*.nbc' \) -exec rm -f {} +

distclean: clean ## remove the virtual environment too
	rm -rf $(VENV) featsim.egg-info
