# Two commands matter: `make book` and `make test`. Each does its own set-up.
.DEFAULT_GOAL := help

PYTHON ?= python3
WORKERS ?= 2
# One more than cores: tests wait for commands and for the browser. A thread each: more only wait for each other.
TESTERS ?= 3
MINUTES ?= 10
DEVICE ?= cpu
FLEET ?= 12
VENV := .venv
PY := $(VENV)/bin/python
PAGE := build/_build/html/index.html

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Hundreds of kernels, commands and tests import the same modules: let Python keep them compiled.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help book release test browser fuzz audit reproducible lint style sync bench coverage lock clean setup lm-setup lm lm-words lm-check

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

book: setup ## build the book and print the page to open
	@$(PY) -m alignbook

# WITHOUT_VOLUMES=1 where there is no Chromium: no PDF, no EPUB.
WITHOUT_VOLUMES ?=

release: setup ## build the book and leave build/release: pages, PDF, EPUB, executed notebooks, results, packages, crate, sums
	@$(PY) -m supply release $(if $(WITHOUT_VOLUMES),--without-volumes)

# Of types, one of the tests takes care (tests/test_types.py), so that both cores have something to do meanwhile.
test: style book ## check style, types, and everything that needs no browser
	@OMP_NUM_THREADS=1 $(PY) -m pytest -n $(TESTERS) --dist loadgroup -m 'not browser'

browser: book ## look at every page in a real browser (Chromium)
	@OMP_NUM_THREADS=1 $(PY) -m pytest -n $(TESTERS) --dist loadgroup -m browser tests

# FUZZ=tests for every property there is.
FUZZ ?= tests/test_fuzz.py

fuzz: setup ## draw new files for all readers and new texts for the page builder until MINUTES (10) are over or one fails
	@end=$$(($$(date +%s) + 60 * $(MINUTES))); while [ $$(date +%s) -lt $$end ]; do \
	  OMP_NUM_THREADS=1 HYPOTHESIS_PROFILE=fuzz FUZZ_END=$$end $(PY) -m pytest -q -n $(WORKERS) -m hypothesis $(FUZZ) || exit 1; \
	done

# In an environment of its own: what looks at the lock is no part of it.
AUDIT := build/audit

audit: setup ## list known vulnerabilities of the lock (where their source answers) and the licences of what ships
	@[ -x $(AUDIT)/bin/pip-audit ] || { $(PYTHON) -m venv $(AUDIT) && $(AUDIT)/bin/pip install --quiet 'pip-audit>=2.9,<3'; } || true  # the report says that it is missing
	@$(PY) -m supply audit $(AUDIT)/bin/pip-audit

reproducible: setup ## build sdist and wheel twice, apart in place, time and umask, and compare them byte by byte
	@$(PY) -m supply reproducible

lint: style ## check style, spelling and types
	@$(PY) -m mypy

style: setup
	@$(PY) -m ruff check
	@$(PY) -m ruff format --check
	@$(PY) -m codespell_lib

sync: setup ## bring every notebook's .py and .ipynb into agreement
	@$(PY) -m alignlib sync

bench: setup ## time the library against its peers
	@$(PY) -m benchmarks

coverage: setup ## try every interval on tables whose truth is known (25 tables of each of 38 laws and 9 shapes, then 300 of 14 laws and 8, then capacities, KLs of policies and scaling fits; resumes)
	@OMP_NUM_THREADS=1 $(PY) -m benchmarks.coverage run --workers $(WORKERS) --tables 25
	@OMP_NUM_THREADS=1 $(PY) -m benchmarks.coverage run --workers $(WORKERS) --others --tables 50
	@OMP_NUM_THREADS=1 $(PY) -m benchmarks.coverage run --workers $(WORKERS) --deep
	@OMP_NUM_THREADS=1 $(PY) -m benchmarks.coverage run --workers $(WORKERS) --others

clean: ## delete everything that was built, and the environment
	rm -rf build $(VENV) *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# The environment is made from requirements.lock, once (supply/make.py, which `python -m alignlib make` uses too).
setup:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Python 3.11 or newer is needed, '$(PYTHON)' is not: name one, as in make book PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m supply.make setup

# The library itself is installed from here, so its extra is not asked for by name: the file holds all it needs.
lm-setup: setup ## add what training language models needs (torch and others; minutes, once)
	@cat $(VENV)/.made_from requirements-lm.txt | cmp -s - $(VENV)/.lm_made_from || { \
	  echo "Installing requirements-lm.txt (a few minutes, once)" && \
	  $(PY) -m pip install --quiet --only-binary :all: -r requirements-lm.txt && \
	  $(PY) -m pip check && \
	  cat $(VENV)/.made_from requirements-lm.txt > $(VENV)/.lm_made_from.part && \
	  mv $(VENV)/.lm_made_from.part $(VENV)/.lm_made_from; }

# One thread each, and nothing fetched: everything that these programs read was made here.
LM := OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(PY) -m alignlib.lm

# The study of sizes (deeper models, pools of prompts, other lengths of training, more ensembles) where a GPU is, or with
# SIZE=1.
SIZE ?= $(filter cuda,$(DEVICE))

lm: WITHOUT := $(if $(SIZE),,--without-size)
lm: lm-setup ## tune and train every method on the small language models (about 4 hours; 2.5 hours more with SIZE=1, the study of sizes; DEVICE=cuda: minutes; resumes), write the table
	@$(LM) prepare --device $(DEVICE) $(WITHOUT)
	@$(LM) tune --processes $(WORKERS) --fleet $(FLEET) --device $(DEVICE)
	@$(LM) run --processes $(WORKERS) --fleet $(FLEET) --device $(DEVICE) $(WITHOUT)
	@$(LM) table

# STAGE=wide for longer runs, more penalties and more seeds; ANEW=1 to pretrain and to tune again, too.
STAGE ?= core
TEXT ?=
ANEW ?=

lm-words: WORDS := $(if $(TEXT),--text $(TEXT),) --device $(DEVICE) $(if $(ANEW),,--like notebooks/words_results)
lm-words: lm-setup ## train on English that nobody can enumerate (an hour on two cores; needs Debian's bible-kjv, or TEXT=file; resumes)
	@$(LM).words prepare $(WORDS)
	@$(LM).words train $(WORDS) --stage $(STAGE) --processes $(WORKERS) --fleet $(if $(filter cuda,$(DEVICE)),$(FLEET),1)
	@$(LM).words table $(if $(TEXT),--text $(TEXT),) --results build/words/table --committed notebooks/words_results

lm-check: lm-setup ## test what needs torch; evaluate the committed policies anew, train two runs anew, compare with the table
	@OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(PY) -m pytest -n $(WORKERS) tests/lm
	@$(LM) check
	@$(LM).words check

# No index, host or annotation lines: the lock says what and which bytes, not where from.
lock: setup ## compile requirements.in into requirements.lock
	@UV_PYTHON_DOWNLOADS=never $(PY) -m uv pip compile --quiet --universal --fork-strategy fewest --generate-hashes \
	  --python-version 3.11 --no-annotate --no-header -o requirements.lock requirements.in
