"""The C++ rules of this repository: flags, test sizes and fuzzing are decided here once."""

load("@rules_cc//cc:defs.bzl", "cc_binary", "cc_library", "cc_test")
load("//tools/bazel:pch.bzl", "use_pch")

_COPTS = [
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-missing-field-initializers",
    # A fused multiply-add rounds once where the published arithmetic rounds twice.
    "-ffp-contract=off",
]

# Tensor sources share one precompiled ATen header: 1 s to load, 6 s to parse.
_TENSOR_PCH = "//tools/bazel:tensor_pch"

def _flags(tensors, copts):
    return _COPTS + copts + (use_pch(_TENSOR_PCH) if tensors else [])

def _deps(tensors, deps):
    return deps + ([_TENSOR_PCH] if tensors else [])

def mf_library(name, deps = [], copts = [], tensors = False, **kwargs):
    """A library. `tensors = True` for sources that include ATen."""
    cc_library(
        name = name,
        copts = _flags(tensors, copts),
        deps = _deps(tensors, deps),
        **kwargs
    )

def mf_test(name, srcs = None, deps = [], copts = [], tensors = False, size = "small", **kwargs):
    """A GoogleTest program; its source is <name>.cc unless said otherwise."""
    cc_test(
        name = name,
        srcs = srcs or [name + ".cc"],
        size = size,
        copts = _flags(tensors, copts),
        deps = _deps(tensors, deps) + ["@googletest//:gtest_main"],
        **kwargs
    )

def mf_binary(name, deps = [], copts = [], tensors = False, **kwargs):
    """A program of the pipeline: <name>_main.cc, stamped with the commit it was built from."""
    cc_binary(
        name = name,
        srcs = [name + "_main.cc"],
        copts = _flags(tensors, copts),
        deps = _deps(tensors, deps) + ["//base:build_stamp"],
        visibility = ["//visibility:public"],
        **kwargs
    )

def mf_benchmark(name, deps = [], copts = [], tensors = False, **kwargs):
    """A Google Benchmark program, run by `make bench`; its source is <name>.cc."""
    cc_binary(
        name = name,
        srcs = [name + ".cc"],
        copts = _flags(tensors, copts),
        tags = ["benchmark"],
        deps = _deps(tensors, deps) + ["@benchmark"],
        **kwargs
    )

def mf_fuzz(name, deps, corpus, tensors = False, copts = []):
    """LLVMFuzzerTestOneInput in <name>.cc.

    <name>_replay runs it over the corpus as an ordinary test; <name> itself is the libFuzzer
    program, which needs --config=fuzz.
    """
    cc_library(
        name = name + "_lib",
        testonly = True,
        srcs = [name + ".cc"],
        alwayslink = True,
        copts = _flags(tensors, copts),
        deps = _deps(tensors, deps),
    )
    cc_test(
        name = name + "_replay",
        size = "small",
        args = ["$(locations %s)" % c for c in corpus],
        data = corpus,
        deps = [
            ":" + name + "_lib",
            "//tools/bazel:fuzz_replay",
        ],
    )
    cc_binary(
        name = name,
        testonly = True,
        linkopts = ["-fsanitize=fuzzer"],
        tags = [
            "fuzz",
            "manual",
        ],
        deps = [":" + name + "_lib"],
    )
