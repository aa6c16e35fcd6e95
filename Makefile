PY := .venv/bin/python
IMAGES := executor facilitator miner relay validator hash:v1 hashcat:v1 llm-prompts:v1 llm-solver:v1
SHELL_SCRIPTS := .ci/run .ci/setup $(wildcard *.sh)

.DEFAULT_GOAL := help
.PHONY: help demo test lint up down bench images

help: ## this page
	@echo "ComputeHorde on one machine. Needs Python >= 3.11, git, make; fetches the rest itself."
	@echo
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'

demo: .venv/.ready ## start the whole network, run one job through it, show it, stop
	@$(PY) -m localnet demo

test: .venv/.ready ## lint, then every test, the network's included
	@$(PY) -m tests.run

lint: .venv/.ready ## ruff, mypy, import contracts, shellcheck
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@$(PY) -m tests.typecheck
	@.venv/bin/lint-imports
	@.venv/bin/shellcheck $(SHELL_SCRIPTS)

up: .venv/.ready ## start the network and leave it running
	@$(PY) -m localnet up

down: .venv/.ready ## stop it; data, keys and logs stay in .localnet
	@$(PY) -m localnet down

bench: .venv/.ready ## measure what a job costs beyond bare docker
	@$(PY) -m benchmarks.job_latency

images: ## build the Docker image of every service and of synthetic jobs; BASE=… for another Debian
	@for image in $(IMAGES); do \
		docker build $(if $(BASE),--build-arg BASE=$(BASE)) $(BUILD_FLAGS) \
			--target $${image%:*} --tag computehorde/$$image . || exit 1; \
	done

.venv/.ready: pyproject.toml uv.lock
	@.ci/setup
