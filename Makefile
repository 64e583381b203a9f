# Every target sets up what it needs first: an environment of the checkout's own, in .venv.

SHELL := /bin/bash
PYTHON := .venv/bin/python

# TFX needs Keras 2, and bytecode must be kept: without it every import of TFX takes 40 s.
export TF_USE_LEGACY_KERAS := 1
export TF_CPP_MIN_LOG_LEVEL := 3
unexport PYTHONDONTWRITEBYTECODE PYTHONHOME PYTHONPATH VIRTUAL_ENV

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-full test test-long test-fast test-lane-b lint types demo-digits demo-sagemaker bench-decide bench-decide-faults bench-seeds bench-serving fuzz-serving soak-serving \
  bench-compress bench-drift bench-drift-spark bench-edgetpu bench-guard bench-privacy bench-faults bench-lineage bench-watch bench-captures audit examples docs docs-cli docs-components docs-conformance picture lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## the environment alone
	@scripts/setup

demo: setup ## the closed loop on a fifth of the flights of 2013
	@.venv/bin/loop demo

demo-full: setup ## the same on all flights
	@.venv/bin/loop demo --full

demo-digits: setup ## images, from training to the smallest served variant and to devices
	@.venv/bin/loop digits

demo-sagemaker: setup ## the flights on a loopback SageMaker: push, captures, ground truth, decisions (some ten minutes)
	@PYTHONPATH=tests/helpers $(PYTHON) -W ignore -m tests.benchmarks.sagemaker_flights

# A worker takes whole files, and what shares a trained pipeline (tests/conftest.py says which).
# TEST_TIME_FACTOR=4 makes every time limit four times as long, for a busy machine.
PYTEST := $(PYTHON) -m pytest --numprocesses 2

test: setup ## the tests, in two processes
	@$(PYTEST) -m "not long"

test-long: setup ## the long proofs that have a shorter one in `make test`
	@$(PYTEST) -m long

test-fast: setup ## the tests of pure modules: no TensorFlow, no pipelines, nothing marked slow
	@$(PYTEST) --hypothesis-profile fast -m "not tensorflow and not e2e and not slow and not long"

test-lane-b: ## all tests with TFX 1.21 on Debian 13, in a container (docker or podman)
	@scripts/lane_b

.PHONY: image image-test
image: ## the image of nodes and of the loop (docker or podman): size, digest, out/image-sbom.cdx.json
	@scripts/image

image-test: ## a node in the built image, as a service runs it
	@scripts/image test

.PHONY: test-kfp-local
test-kfp-local: setup ## a compiled pipeline in the built image, run by kfp.local (podman; KFP_PYTHON)
	@PYTHONPATH=tests/helpers $(PYTHON) -W ignore -m tests.benchmarks.kfp_local

lint: setup ## ruff: rules and format
	@$(PYTHON) -m ruff check components pipelines tests docs docker scripts
	@$(PYTHON) -m ruff format --check components pipelines tests docs docker scripts

types: setup ## mypy, strict
	@$(PYTHON) -m mypy

bench-decide: setup ## what each way of deciding costs, over all streams
	@$(PYTHON) -m tests.benchmarks.decide

bench-decide-faults: setup ## faults of data, labels and champions in streams: named or not, sound windows left alone or not
	@$(PYTHON) -W ignore -m tests.benchmarks.decide.faults

bench-seeds: setup ## the demo over ten seeds in one table; seeds that have a result are kept
	@$(PYTHON) -m tests.benchmarks.seeds

bench-serving: setup ## the model server beside other servers, its log, and switches of versions (h2load)
	@PYTHONPATH=tests/helpers $(PYTHON) -m tests.benchmarks.serving.bench_peers
	@PYTHONPATH=tests/helpers $(PYTHON) -m tests.benchmarks.serving.bench_server
	@PYTHONPATH=tests/helpers $(PYTHON) -W ignore -m tests.benchmarks.serving.bench_switch
	@$(PYTHON) -m tests.benchmarks.serving.bench_log

fuzz-serving: setup ## 100,000 REST and 20,000 gRPC requests that are none, or nearly one
	@PYTHONPATH=tests/helpers $(PYTHON) -m tests.benchmarks.serving.fuzz

soak-serving: setup ## one hour of load at half the maximum: memory and p99 (SECONDS=3600)
	@PYTHONPATH=tests/helpers $(PYTHON) -m tests.benchmarks.serving.soak --seconds $(or $(SECONDS),3600)

.PHONY: bench-gateway
bench-gateway: setup ## the gateway beside nginx and Envoy, before an echo upstream; needs h2load
	@PYTHONPATH=tests/helpers $(PYTHON) -m tests.benchmarks.serving.bench_gateway

bench-compress: setup ## what each technique gains and loses, and whether budgets are kept
	@$(PYTHON) -m tests.benchmarks.compress

bench-drift: setup ## false alarms, power, speed and estimated quality beside other tools
	@$(PYTHON) -m tests.benchmarks.drift.false_alarms
	@$(PYTHON) -m tests.benchmarks.drift.dependent
	@$(PYTHON) -m tests.benchmarks.drift.power
	@$(PYTHON) -m tests.benchmarks.drift.real_tables
	@$(PYTHON) -W ignore -m tests.benchmarks.drift.growth
	@$(PYTHON) -m tests.benchmarks.drift.sequential
	@$(PYTHON) -m tests.benchmarks.drift.estimated
	@$(PYTHON) -m tests.benchmarks.drift.speed
	@$(PYTHON) -m tests.benchmarks.drift.command_speed

bench-drift-spark: setup ## the window profile on a real Spark cluster (Java 17 and Maven)
	@$(PYTHON) -m tests.benchmarks.drift.spark

bench-edgetpu: setup ## the analyser against what the real compiler did
	@$(PYTHON) -m tests.benchmarks.edgetpu

bench-faults: setup ## over-fitted and under-fitted models and leaks: found or not, beside two peers (hours)
	@$(PYTHON) -W ignore -m tests.benchmarks.faults

bench-privacy: setup ## how often membership inference warns, by model, beside two peers (half an hour)
	@$(PYTHON) -m tests.benchmarks.privacy

bench-lineage: setup ## explain, why-not, graph and status in a store of 10,000 executions, start included
	@PYTHONPATH=tests/helpers $(PYTHON) -m tests.benchmarks.lineage

bench-watch: setup ## thirty simulated days of the daemon, killed at random points: nothing twice, nothing forgotten
	@PYTHONPATH=src:tests/helpers $(PYTHON) -m tests.benchmarks.watch

bench-guard: setup ## 50,000 mutated model files through the guard: no crash, no hang, bounded memory
	@$(PYTHON) -m tests.benchmarks.guard

bench-captures: setup ## captures of SageMaker in Beam: the rate, and every planted reject counted
	@$(PYTHON) -m tests.benchmarks.captures

audit: setup ## known vulnerabilities of the locked packages, and their bill of materials (CycloneDX)
	@scripts/audit

examples: setup ## each node in seven stock pipelines by its lines in docs/components.md, as a table
	@$(PYTHON) -m tests.benchmarks.examples

docs: setup ## the site of README and docs/, links checked: out/site/index.html
	@$(PYTHON) -m sphinx -W --keep-going -q -c docs -b html -d out/site/.doctrees . out/site
	@echo out/site/index.html

docs-components: setup ## docs/components.md and what editors read of the nodes, from their declarations
	@$(PYTHON) -m tfx_loop.pipelines.node_reference.page > docs/components.md.new && mv docs/components.md.new docs/components.md
	@$(PYTHON) -m tfx_loop.pipelines.node_reference.stub > components/__init__.pyi.new && mv components/__init__.pyi.new components/__init__.pyi

docs-conformance: setup ## docs/conformance.md, from the cases that are asked of the model server
	@PYTHONPATH=src:tests/helpers $(PYTHON) -m conformance_cases.page

docs-cli: setup ## docs/cli.md, the reference of the commands, from their parsers
	@$(PYTHON) -m tfx_loop.pipelines.cli.reference > docs/cli.md.new && mv docs/cli.md.new docs/cli.md

picture: ## docs/demo.png, the picture in the README, from the page of the last demo
	@scripts/picture

lock: ## make requirements.lock again from pyproject.toml
	@scripts/setup uv
	@.tools/uv/bin/uv --cache-dir .tools/cache pip compile pyproject.toml --universal \
	  --generate-hashes --all-extras -p 3.10 --quiet \
	  --custom-compile-command "make lock" -o requirements.lock

clean: ## remove what make made: environment, tools, outputs, caches
	@rm -rf .venv .tools out build .mypy_cache .ruff_cache .pytest_cache .hypothesis ./*.egg-info
	@find components pipelines tests -name __pycache__ -type d -prune -exec rm -rf {} +
