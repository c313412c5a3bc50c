# What one does here, in one word. The work is in ./test, ./demo and tools/.
FUZZ_SECONDS ?= 60
BAZEL ?= bazel

QUERY = $(BAZEL) query --noshow_progress --noshow_loading_progress --ui_event_filters=-info

.PHONY: help test demo sanitize asan tsan lint fuzz bench dist format
help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

test: ## set the machine up if need be; lint and every test, optimised
	@./test

demo: ## from furniture models to out/demo/report.html
	@./demo

sanitize: asan tsan ## every test under ASan and UBSan; those without LibTorch under TSan too

asan:
	$(BAZEL) test --config=asan //...

# Threads without LibTorch, whose OpenMP ThreadSanitizer cannot follow.
tsan:
	tests=$$($(QUERY) 'tests(//...) except rdeps(//..., @libtorch//:torch)') && \
	  $(BAZEL) test --config=tsan $$tests

lint: ## the lint of ./test, and clang-tidy over everything
	@tools/setup/setup.sh --dev
	tools/lint/lint.py
	$(BAZEL) build --config=tidy --keep_going //...

fuzz: ## each fuzz target for FUZZ_SECONDS (60), from its corpus on; findings in out/fuzz
	@tools/setup/setup.sh --dev
	@BAZEL="$(BAZEL)" tools/bazel/run_fuzzers.sh $(FUZZ_SECONDS)

# One that fails does not keep the others from running.
bench: ## every benchmark; makes the demo's models first, where they are not there
	@[ -e out/demo/models/catalogue.json ] || \
	  $(BAZEL) run --noshow_progress --ui_event_filters=-info //tools/demo:import_furniture -- out_root=out/demo/models
	@failed=; targets=$$($(QUERY) 'attr(tags, benchmark, //...)') || exit 1; for target in $$targets; do \
	  echo "== $$target"; \
	  $(BAZEL) run --noshow_progress --ui_event_filters=-info $$target || failed="$$failed $$target"; \
	done; [ -z "$$failed" ] || { echo "failed:$$failed" >&2; exit 1; }

dist: ## all programs as one archive for other machines in out/dist (DIST_TORCH=1: LibTorch too)
	@BAZEL="$(BAZEL)" tools/setup/dist.sh out/dist

format: ## clang-format over all C++ sources
	@tools/lint/lint.py --fix
