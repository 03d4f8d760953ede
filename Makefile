# make install   .venv with edgefer and all that the workstation and the checks need
# make demo      train, quantize and measure a small network on synthetic faces
# make test      every check, and all tests: the workstation, a board's install, the oldest one, across them, over SSH
# make arm-cost  what models compute on arm64, and how many instructions that takes, on the emulated board
# make tables    write the tables in the documents anew, from the result files
# make docs      build the documentation into site/; a broken link or reference is an error
# make clean     remove all of the above but runs/
#
# PYTHON=python3.12 picks the interpreter; otherwise it is the first of these that is Python 3.10 to 3.13 and runs.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
# The environments are built one after another, and pytest uses the cores.
.NOTPARALLEL:
# Each worker holds TensorFlow and a trained network, about 2 GiB.
WORKERS ?= $(shell nproc 2>/dev/null | awk '{print ($$1 > 4) ? 4 : $$1}')
ON_ALL_CORES = -n $(WORKERS) --dist loadfile

CANDIDATES := python3 python3.11 python3.12 python3.13 python3.10
# A name on the PATH may be a stub of a version manager that only prints an error, so each is asked to run.
first_python = $(shell for name in $(1); do \
    "$$name" -c 'import sys; sys.exit(not ((3, 10) <= sys.version_info[:2] <= (3, $(2))))' 2>/dev/null && echo "$$name" && break; done)
PYTHON ?= $(call first_python,$(CANDIDATES),13)
# tflite-runtime has no wheels for anything newer.
OLD_PYTHON ?= $(call first_python,$(PYTHON) python3.11 python3.10,11)

# pip says what fails and nothing else.
PIP_INSTALL := -m pip --disable-pip-version-check -qq install
# The pins are of Python 3.11; Python 3.10 has no wheels of some of them and takes what the ranges in pyproject.toml give.
PINNED = $(if $(shell $(PYTHON) -c 'import sys; sys.version_info >= (3, 11) and print(1)' 2>/dev/null),-c constraints.txt)

BIN := .venv/bin
# What must pass wherever edgefer runs. The pytest script, unlike python -m pytest, leaves the checkout off the path, so
# that the installed package is tested.
BOARD_TESTS = $(addprefix tests/,benchmark contract data deploy device inference inspection live models report results) \
    tests/contracts/test_wall.py $(wildcard tests/test_*.py)

.PHONY: help install test check test-workstation test-install test-oldest test-parity test-board arm-cost wheel demo \
    tables docs clean
help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

install: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	@$(call new_venv,.venv,$(PYTHON))
	@echo "Installing edgefer into .venv; TensorFlow is 600 MB."
	@$(BIN)/python $(PIP_INSTALL) $(PINNED) -e '.[workstation,live,test]'
	@touch $@
	@echo "Done. Now: source .venv/bin/activate"

test: check docs test-workstation test-install test-oldest test-parity test-board

check: install
	$(BIN)/ruff check --quiet --output-format concise .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

test-workstation: install
	@echo "--- The workstation: every test"
	$(BIN)/python -m pytest $(ON_ALL_CORES)

test-install: .venv-board/.installed wheel
	@echo "--- A board: the wheel and what it requires, no TensorFlow"
	@.venv-board/bin/python $(PIP_INSTALL) --no-deps --force-reinstall dist/*.whl
	.venv-board/bin/pytest $(ON_ALL_CORES) $(BOARD_TESTS)

ifneq ($(OLD_PYTHON),)
test-oldest: .venv-oldest/.installed wheel
	@echo "--- The oldest board: tflite-runtime 2.14, numpy 1 and the lower bounds of pyproject.toml"
	@.venv-oldest/bin/python $(PIP_INSTALL) --no-deps --force-reinstall dist/*.whl
	.venv-oldest/bin/pytest $(ON_ALL_CORES) $(BOARD_TESTS)

test-parity: install .venv-oldest/.installed
	@echo "--- The same answers: every architecture in LiteRT, TensorFlow and tflite-runtime 2.14"
	EDGEFER_OLD_PYTHON=.venv-oldest/bin/python $(BIN)/python -m pytest tests/parity
else
test-oldest test-parity:
	@echo
	@echo "*** SKIPPED: $@, which runs tflite-runtime 2.14 with numpy 1. It has no wheels for Python newer than 3.11, and"
	@echo "*** neither python3.11 nor python3.10 was found on the PATH. To run them: make test OLD_PYTHON=/path/to/python3.11"
	@echo
endif

# The script that builds an arm64 Debian behind a real SSH server on loopback, and the folder where it does. It needs root.
EMULATOR ?= ../shared/board/board.sh
EMULATED ?= $(CURDIR)/.board
CAN_EMULATE = $(and $(wildcard $(EMULATOR)),$(filter 0,$(shell id -u)),$(wildcard /proc/sys/fs/binfmt_misc))
ifneq ($(CAN_EMULATE),)
test-board: install
	@echo "--- An emulated arm64 board, over SSH"
	bash $(EMULATOR) build $(EMULATED)
	EDGEFER_EMULATOR=$(EMULATOR) EDGEFER_EMULATED=$(EMULATED) $(BIN)/python -m pytest tests/emulated

# The models that ship; others by MODELS="a.tflite b.tflite". DATA=fer2013.csv compares on real faces.
MODELS ?= $(wildcard edgefer/models/*.tflite)
arm-cost: install .venv-oldest/.installed
	$(BIN)/python benchmarks/arm64_emulated.py $(EMULATOR) $(EMULATED) $(MODELS) $(if $(DATA),--data $(DATA)) \
	    --tflite-python .venv-oldest/bin/python --out benchmarks/results/arm64-emulated
else
test-board arm-cost:
	@echo
	@echo "*** SKIPPED: $@, which runs an emulated arm64 board behind an SSH server. It wants Linux with binfmt_misc, root, and"
	@echo "*** a script that builds the board: make $@ EMULATOR=/path/to/board.sh (its verbs: build, start, stop, exec, drop)"
	@echo
endif

wheel: install
	@# setuptools packs whatever an earlier build left in build/.
	@rm -rf build dist
	@$(BIN)/python -m pip --disable-pip-version-check -qq wheel --no-deps --wheel-dir dist .

.venv-board/.installed: pyproject.toml constraints.txt | wheel
	@$(call new_venv,.venv-board,$(PYTHON))
	@.venv-board/bin/python $(PIP_INSTALL) $(PINNED) "$$(echo dist/*.whl)[live]" pytest pytest-xdist
	@touch $@

# Without dependencies, because LiteRT would be one: here tflite-runtime is alone, as it is on a 32-bit ARM board.
.venv-oldest/.installed: pyproject.toml .ci/constraints-tflite-runtime.txt
	@$(call new_venv,.venv-oldest,$(OLD_PYTHON))
	@.venv-oldest/bin/python $(PIP_INSTALL) --no-deps -r .ci/constraints-tflite-runtime.txt
	@touch $@

# $(1): the folder, $(2): the interpreter
define new_venv
if ! "$(2)" -c 'import sys; sys.exit(not ((3, 10) <= sys.version_info[:2] <= (3, 13)))' 2>/dev/null; then \
    echo "edgefer needs Python 3.10 to 3.13; tried: $(or $(2),$(CANDIDATES)). Name one: make install PYTHON=/path/to/python3" >&2; \
    exit 1; fi; \
if ! "$(2)" -c 'import ensurepip, venv' 2>/dev/null; then \
    echo "$(2) cannot make virtual environments; on Debian, Ubuntu and Raspberry Pi OS: sudo apt install python3-venv" >&2; \
    exit 1; fi; \
"$(2)" -m venv --clear $(1)
endef

# What the steps print goes to runs/demo.log, for the table at the end says it in short; errors and progress are shown.
DEMO := runs/demo
DEMO_SYSTEM := demo
DEMO_LOG := >> runs/demo.log
demo: install
	@rm -rf $(DEMO) && mkdir -p runs && : > runs/demo.log
	$(BIN)/edgefer train --data synthetic --system $(DEMO_SYSTEM) --epochs 10 --run $(DEMO) $(DEMO_LOG)
	$(BIN)/edgefer quantize $(DEMO) --float32 --out $(DEMO)/float32.quantize.json $(DEMO_LOG)
	$(BIN)/edgefer quantize $(DEMO) --int8 --out $(DEMO)/int8.quantize.json $(DEMO_LOG)
	$(BIN)/edgefer evaluate $(DEMO)/$(DEMO_SYSTEM)-float32.tflite --data synthetic --out $(DEMO)/float32.evaluation.json $(DEMO_LOG)
	$(BIN)/edgefer evaluate $(DEMO)/$(DEMO_SYSTEM)-int8.tflite --data synthetic --out $(DEMO)/int8.evaluation.json $(DEMO_LOG)
	$(BIN)/edgefer bench $(DEMO)/$(DEMO_SYSTEM)-float32.tflite --device --out $(DEMO)/float32.bench.json $(DEMO_LOG)
	$(BIN)/edgefer bench $(DEMO)/$(DEMO_SYSTEM)-int8.tflite --device --out $(DEMO)/int8.bench.json $(DEMO_LOG)
	$(BIN)/edgefer report $(DEMO)/*.evaluation.json $(DEMO)/*.bench.json
	@echo "And a photograph, by a model that ships:"
	$(BIN)/edgefer predict tests/fixtures/astronaut.jpg --model small

tables: install
	$(BIN)/python benchmarks/report.py

docs: .venv-docs/.installed
	.venv-docs/bin/python docs/draw_architecture.py --check
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --quiet --strict

.venv-docs/.installed: pyproject.toml constraints.txt
	@$(call new_venv,.venv-docs,$(PYTHON))
	@.venv-docs/bin/python $(PIP_INSTALL) $(PINNED) -e '.[docs]'
	@touch $@

clean:
	rm -rf .venv .venv-board .venv-docs .venv-oldest .board build site dist edgefer.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find edgefer tests -name __pycache__ -type d -prune -exec rm -rf {} +
