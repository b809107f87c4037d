# make demo            kennen-o from the packaged answers, and a dozen new classifiers named;
#                      ENGINE=ray has a Ray cluster of this machine build them
# make laptop          the packaged zoo and the paper's experiments on it, anew: a day or two of two
#                      cores; goes on if killed
# make demo-imagenet   families and AIPs, on small versions of the paper's ImageNet families
# make check           format, lint, types and the fast tests: for daily work
# make test            every check: format, lint, types, tests on the installed package
# make test-servers    the tests that ask real KServe, MLServer and Triton, on this machine
# make lint            format, lint and types only
# make format          rewrites the source as `make lint` wants it
# make clean           removes the environment, builds and the demo
#
# Needs Python 3.10+ and make; everything else is put into .venv. Which package registry
# is used is up to pip's own settings. Another Python: make PYTHON=python3.12 test

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help demo laptop demo-imagenet check test test-servers lint format clean

PYTHON ?= python3
BIN := .venv/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# More options for pytest, e.g. make test PYTEST_FLAGS="--run_slow -k zoo"
PYTEST_FLAGS ?=
# Two processes; the tests of a file, which share what they make, in one of them.
PYTEST := -m pytest --numprocesses=2 --dist=loadfile --quiet

PACKAGES := flags kennen_tf pipelines
SOURCES := $(shell find $(PACKAGES) -name '*.py' -o -name '*.flags' -o -path '*/data/*' -type f)

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

# The environment: made once, and again when the requirements change.
.venv/requirements: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 10) or sys.exit( \
	    f"error: Python 3.10 or newer is needed. Received: {v[0]}.{v[1]}. " \
	    "Name another one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	@echo "Installing TensorFlow and the other requirements into .venv: some minutes."
	$(PIP_INSTALL) '.[dev]'
	@touch $@

# The package itself, as a wheel, so that what is missing in it is missed by the tests.
.venv/package: .venv/requirements $(SOURCES) LICENSE NOTICE README.md
	@rm -rf build/bdist.* build/lib build/wheel
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps \
	    --wheel-dir=build/wheel .
	$(PIP_INSTALL) --no-deps --force-reinstall build/wheel/kennen_tf-*.whl
	@touch $@

lint: .venv/requirements
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/requirements
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: lint
	$(BIN)/python $(PYTEST) --fast $(PYTEST_FLAGS)

# From another folder, so that the checkout's packages are not what is imported.
test: lint .venv/package
	@mkdir -p build/elsewhere
	cd build/elsewhere && $(CURDIR)/$(BIN)/python $(PYTEST) --config-file=$(CURDIR)/setup.cfg \
	    --rootdir=$(CURDIR) -o pythonpath= --installed $(PYTEST_FLAGS) $(CURDIR)/tests

# Each server in an environment of its own, as none can share ours. Triton wants Python
# 3.8 to 3.12.
SERVERS := kserve mlserver triton

build/servers/%/requirements: tests/servers/requirements-%.txt
	@rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	@echo "Installing $* into $(@D): a minute or two."
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --requirement=$<
	@touch $@

test-servers: .venv/requirements $(SERVERS:%=build/servers/%/requirements)
	$(BIN)/python -m pytest --quiet --run_servers $(PYTEST_FLAGS) tests/servers

DEMO := --flagfile=flags/presets/demo.flags
# local, or ray (which needs `pip install ray`).
ENGINE ?= local

# kennen-o, which learns from the packaged answers; and the chain from its beginning, a new
# zoo, whose classifiers the ready metamodels name from their files, and one over HTTP.
demo: .venv/requirements
	$(BIN)/python -m kennen_tf.train_metamodel $(DEMO) --query_dir=mnist_net --strategy=auto \
	    --metamodel_dir=demo/runs/kennen-o/joined/seed0
	$(BIN)/python -m kennen_tf.evaluate_metamodel $(DEMO) --metamodel_dir=demo/runs/kennen-o/joined/seed0
	$(BIN)/python -m kennen_tf.export_metamodel $(DEMO) \
	    --metamodel_dir=demo/runs/kennen-o/joined/seed0 --export_dir=demo/exported
	$(BIN)/python -m kennen_tf.build_zoo $(DEMO) --zoo_dir=demo/zoo --engine=$(ENGINE)
	$(BIN)/python -m kennen_tf.query_zoo $(DEMO) --zoo_dir=demo/zoo --query_dir=demo/queries \
	    --engine=$(ENGINE)
	ls demo/zoo/classifiers/*.keras | sed '1i black_box' >demo/boxes.csv
	$(BIN)/python -m kennen_tf.reveal_black_box $(DEMO) --black_boxes=demo/boxes.csv \
	    --zoo_dir=demo/zoo --output=demo/revealed.csv
	rm -f demo/url demo/served.answers.npz
	$(BIN)/python -m kennen_tf.serve_classifier --port=0 --name=mnist \
	    --classifier=$$(sed -n 2p demo/boxes.csv) >demo/url & \
	server=$$!; trap "kill $$server" EXIT; \
	until [[ -s demo/url ]]; do kill -0 $$server; sleep 0.2; done; \
	$(BIN)/python -m kennen_tf.reveal_black_box $(DEMO) --black_box=$$(<demo/url) \
	    --answers=demo/served.answers.npz

LAPTOP := --flagfile=flags/presets/laptop.flags

laptop: .venv/requirements
	$(BIN)/python -m kennen_tf.build_zoo $(LAPTOP) --zoo_dir=laptop/zoo
	$(BIN)/python -m kennen_tf.query_zoo $(LAPTOP) --zoo_dir=laptop/zoo --query_dir=laptop/queries
	$(BIN)/python -m kennen_tf.reproduce $(LAPTOP) --experiment=all --zoo_dir=laptop/zoo \
	    --query_dir=laptop/queries --report_dir=laptop/report
	$(BIN)/python -m kennen_tf.package_zoo $(LAPTOP) --zoo_dir=laptop/zoo \
	    --query_dir=laptop/queries --package_dir=laptop/package

FAMILIES := demo/imagenet/families
# A member of a family with others; it takes no part, as it is the black box.
BLACK_BOX := $(FAMILIES)/vgg13_small.keras

demo-imagenet: .venv/requirements
	$(BIN)/python -m kennen_tf.train_families $(DEMO) --output_dir=$(FAMILIES) --engine=$(ENGINE)
	$(BIN)/python -m kennen_tf.predict_family $(DEMO) \
	    --classifiers=$(FAMILIES)/manifest.json --output_dir=demo/imagenet/family
	$(BIN)/python -m kennen_tf.generate_aips $(DEMO) --generators=families \
	    --classifiers=$(FAMILIES)/manifest.json --output_dir=demo/imagenet/aips
	$(BIN)/python -m kennen_tf.attack_black_box $(DEMO) --black_box=$(BLACK_BOX) \
	    --classifiers=$(FAMILIES)/manifest.json --output_dir=demo/imagenet/attack

clean:
	rm -rf .venv build demo *.egg-info .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
