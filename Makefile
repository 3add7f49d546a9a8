# Thin: every line here can be run by hand. `make demo` and `make test` need python3, pip, gcc, make and git, nothing else.
SHELL := /bin/bash
.DEFAULT_GOAL := help

BOOT   := .boot/bin
# A uv of the machine's own serves as well as the one we install; both only ever write .venv and the uv cache.
UV     := $(shell command -v uv 2>/dev/null || echo $(BOOT)/uv)
VENV   := .venv/bin
NATIVE := build/native
TORCH  := build/torch
JOBS   ?= 2
FUZZ_S ?= 20
# Emulation keeps no time, starts no other program, traces none, knows no bare clone, and has no room for a card's address range.
NOT_EMULATED := pacing|shares|schedules|torture|invisible|neighbours|hostile|stripped|vfork_exec|clone|oversubscribed|regions|test_state|unreachable|adds_only_its_loading|kernel_limit|imports
SCHEDULES ?= 100000
SEED ?= 1
# A schedule mostly waits: for processes that are stopped, and for its share of the device.
SHARDS ?= 16
NIGHTLY = $(VENV)/python native/tests/nightly.py --schedules $(SCHEDULES) --seed $(SEED) --jobs $(SHARDS)

.PHONY: help sync demo test site test-python test-native test-sanitizers test-arm64 test-clients test-torch record-traces nightly mutants fuzz cluster-test node-test scale-test check format bench proto docs generate clean

help: ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BOOT)/uv:
	@echo "==> installing uv into .boot (once)"
	@python3 -m pip --version >/dev/null 2>&1 || { echo "python3 has no pip; run: apt-get install python3-pip" >&2; exit 1; }
	@python3 -m venv --without-pip .boot
	@python3 -m pip --python $(BOOT)/python install --quiet uv

sync: $(if $(findstring .boot,$(UV)),$(BOOT)/uv) ## Install everything into .venv and build the native libraries
	@echo "==> installing Python packages and building the native libraries into .venv"
	$(UV) sync --all-packages

demo: sync ## The main job on a simulated machine: place, start, hold to its share, show, release
	$(VENV)/python examples/demo.py

test: sync test-native test-python ## Every test that needs no cluster

test-python:
	$(VENV)/python -m pytest -n $(JOBS)

$(NATIVE)/build.ninja: native/CMakeLists.txt
	$(VENV)/cmake -S native -B $(NATIVE) -G Ninja -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(VENV)/ninja \
	  -DPython3_EXECUTABLE=$(CURDIR)/$(VENV)/python -DHAMI_TESTS=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo

test-native: $(NATIVE)/build.ninja
	$(VENV)/cmake --build $(NATIVE) -j $(JOBS)
	$(VENV)/ctest --test-dir $(NATIVE) -j $(JOBS) --output-on-failure

test-sanitizers: sync ## The C tests again under ASan+UBSan and TSan
	@for kind in address,undefined thread; do \
	  $(VENV)/cmake -S native -B build/native-$${kind%%,*} -G Ninja -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(VENV)/ninja \
	    -DPython3_EXECUTABLE=$(CURDIR)/$(VENV)/python -DHAMI_TESTS=ON -DHAMI_SANITIZE=$$kind && \
	  $(VENV)/cmake --build build/native-$${kind%%,*} -j $(JOBS) && \
	  $(VENV)/ctest --test-dir build/native-$${kind%%,*} -j $(JOBS) --output-on-failure || exit 1; \
	done

test-arm64: sync ## Build the six libraries for arm64 and run their tests under emulation (needs Debian's cross gcc and qemu-user)
	@for tool in aarch64-linux-gnu-gcc qemu-aarch64; do command -v $$tool >/dev/null || \
	  { echo "$$tool is missing; run: apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user" >&2; exit 1; }; done
	$(VENV)/cmake -S native -B build/native-arm64 -G Ninja -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(VENV)/ninja \
	  -DPython3_EXECUTABLE=$(CURDIR)/$(VENV)/python -DCMAKE_TOOLCHAIN_FILE=cmake/arm64.cmake -DHAMI_TESTS=ON
	$(VENV)/cmake --build build/native-arm64 -j $(JOBS)
	$(VENV)/ctest --test-dir build/native-arm64 -j $(JOBS) --output-on-failure -E '$(NOT_EMULATED)'

test-clients: $(if $(findstring .boot,$(UV)),$(BOOT)/uv) ## Other people's programs inside a share of a simulated card: numba, nvtop, nvitop, gpustat
	$(UV) sync --all-packages --group clients
	$(VENV)/python -m pytest tests/clients

$(TORCH)/bin/python:
	$(UV) venv --quiet $(TORCH)
	$(UV) pip install --quiet --python $@ torch numpy

# NVIDIA's own runtime refuses every driver but NVIDIA's.
$(TORCH)/libcudart.so.13: $(wildcard tests/torch/cudart/*) | $(TORCH)/bin/python
	$(CC) -std=gnu11 -O1 -g -fPIC -shared -fvisibility=hidden -Wall -Wextra -Werror -Wno-unused-parameter \
	  -isystem $$($(TORCH)/bin/python -c 'import triton; print(triton.__path__[0])')/backends/nvidia/include \
	  -Wl,-soname,libcudart.so.13 -Wl,--version-script=tests/torch/cudart/cudart.map -o $@ tests/torch/cudart/*.c -ldl -lpthread

test-torch: sync $(TORCH)/libcudart.so.13 ## PyTorch's allocators and graphs inside a share of a simulated card (installs PyTorch, 5 GB, into build/torch)
	$(VENV)/python -m pytest tests/torch

record-traces: $(NATIVE)/build.ninja $(TORCH)/libcudart.so.13 ## Record the traces of other people's programs anew, for the replaying tests
	$(UV) sync --all-packages --group clients
	$(VENV)/cmake --build $(NATIVE) -j $(JOBS) --target hami_record hami_fake_cuda hami_fake_nvml
	$(VENV)/python tests/clients/record.py $(NATIVE) native/tests/nvidia/traces cuda-python numba-arrays
	$(VENV)/python tests/clients/record.py $(NATIVE) native/tests/nvidia/traces --cudart $(TORCH)/libcudart.so.13 \
	  --python $(TORCH)/bin/python torch-caching torch-expandable torch-async

nightly: $(NATIVE)/build.ninja ## Random schedules over the isolation libraries: SCHEDULES of each kind, from seed SEED on
	$(VENV)/cmake --build $(NATIVE) -j $(JOBS)
	$(NIGHTLY) --name core -- $(NATIVE)/tests/core/core_torture
	PYTHONPATH=native/tests/interpose $(NIGHTLY) --name nvidia -- $(VENV)/python native/tests/nvidia/run.py \
	  --library $(NATIVE)/lib/testing/libhami_nvidia.so --fakes $(NATIVE)/lib/fake --machine src/hami_nvidia/machines/a40x2.json \
	  --memory-mib 1000 --core-percent 90 --policy force -- $(CURDIR)/$(NATIVE)/tests/nvidia/nvidia_schedules
	@for vendor in ascend mlu dcu mthreads iluvatar; do \
	  machine=$$(ls src/hami_$$vendor/machines/*.json | head -1) && \
	  $(NIGHTLY) --name $$vendor -- $(VENV)/python native/tests/interpose/run.py \
	    --library $(NATIVE)/lib/testing/libhami_$$vendor.so --fakes $(NATIVE)/lib/fake/$$vendor --machine $$machine \
	    --memory-mib 1000 -- $(CURDIR)/$(NATIVE)/tests/$$vendor/$${vendor}_test_paths || exit 1; \
	done

mutants: $(NATIVE)/build.ninja ## Break the isolation libraries on purpose, each way that native/tests/mutants.toml lists: some test must notice
	$(VENV)/python native/tests/mutants.py --jobs $(JOBS)

fuzz: sync ## Search for limits files and regions that do harm, FUZZ_S seconds each (needs clang)
	@command -v clang >/dev/null || { echo "clang is missing; run: apt-get install clang libclang-rt-14-dev (the number: clang's own)" >&2; exit 1; }
	$(VENV)/cmake -S native -B build/native-fuzz -G Ninja -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(VENV)/ninja \
	  -DPython3_EXECUTABLE=$(CURDIR)/$(VENV)/python -DCMAKE_C_COMPILER=clang -DHAMI_VENDORS= -DHAMI_TESTS=ON \
	  -DHAMI_FUZZ=ON -DHAMI_SANITIZE=address,undefined
	$(VENV)/cmake --build build/native-fuzz -j $(JOBS)
	@for name in limits region; do \
	  mkdir -p build/native-fuzz/found/$$name && \
	  build/native-fuzz/tests/fuzz/fuzz_$$name -max_total_time=$(FUZZ_S) -print_final_stats=1 -verbosity=0 \
	    -artifact_prefix=build/native-fuzz/$$name- build/native-fuzz/found/$$name native/tests/fuzz/corpus/$$name || exit 1; \
	done

cluster-test: sync ## The scheduler on a real control plane, built with Go (the first time: 25 minutes); KUBERNETES=older
	tests/cluster/build.sh $(if $(filter older,$(KUBERNETES)),tests/cluster/older,tests/cluster)
	tests/cluster/build.sh tests/cluster etcd kwok
	tests/cluster/build.sh tests/chart
	tests/cluster/build.sh tests/cluster/kubectl
	KUBERNETES=$(or $(KUBERNETES),current) $(VENV)/python -m pytest --timeout=900 tests/cluster

node-test: sync ## The node agent on a real kubelet and containerd, with real containers; as root (the first time: minutes more)
	tests/cluster/build.sh
	tests/cluster/build.sh tests/chart
	tests/kubelet/build.sh
	$(VENV)/python -m pytest tests/kubelet

scale-test: sync ## The promises for large clusters, measured: 5,000 nodes and 100,000 pods (some 15 minutes; needs Go)
	$(VENV)/python -m benchmarks.cluster.scale

check: sync ## Format, lint, types, import contracts, the docs site, C format, Dockerfile, spelling
	$(VENV)/ruff format --check .
	$(VENV)/ruff check .
	$(VENV)/mypy
	$(VENV)/lint-imports
	NO_MKDOCS_2_WARNING=1 $(VENV)/mkdocs build --quiet
	$(VENV)/clang-format --dry-run --Werror $$(git ls-files 'native/*.c' 'native/*.h' 'examples/*.c' 'examples/*.h')
	$(VENV)/hadolint Dockerfile
	$(VENV)/codespell $$(git ls-files '*.py' '*.md' '*.c' '*.h' '*.toml' '*.yaml' Makefile)

proto: $(if $(findstring .boot,$(UV)),$(BOOT)/uv) ## Generate the services' code from proto/ (with Go there, the Go example's too)
	$(UV) run --script proto/generate.py

bench: sync $(NATIVE)/build.ninja ## Measure the fit engine, the command line and the preload library against what is promised
	$(VENV)/cmake --build $(NATIVE) -j $(JOBS)
	$(VENV)/python benchmarks/fit/run.py --runs 1
	$(VENV)/python benchmarks/cli/start_up.py
	$(VENV)/python benchmarks/native/run.py
	$(VENV)/python benchmarks/native/start_up.py
	$(VENV)/python benchmarks/native/oversubscription.py

site: sync ## The documentation as a site, in build/site; a dead link or a page that is not in the menu is an error
	NO_MKDOCS_2_WARNING=1 $(VENV)/mkdocs build --quiet

docs: sync ## Write the pages that are made from the code
	$(VENV)/python -m docs.generate

format: sync ## Apply the formatters
	$(VENV)/ruff format .
	$(VENV)/ruff check --fix .
	$(VENV)/clang-format -i $$(git ls-files 'native/*.c' 'native/*.h' 'examples/*.c' 'examples/*.h')

clean: ## Remove what builds leave behind (not the uv cache)
	rm -rf build .venv .boot dist
