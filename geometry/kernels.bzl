"""Inner loops that are compiled for any x86-64, AVX2 and AVX-512; kernel_choice.h asks the processor which to call."""

load("//tools/bazel:cc.bzl", "mf_library")

_INSTRUCTIONS = {
    "Portable": [],
    "Avx2": [
        "-mavx2",
        "-mfma",
    ],
    "Avx512": [
        "-mavx512f",
        "-mavx512bw",
        "-mavx512dq",
        "-mavx512vl",
    ],
}

_VECTOR_BYTES = {"Portable": 16, "Avx2": 32, "Avx512": 64}

def kernel_library(name, define, function):
    """<name>.cc, once for each of them; the function it defines, `define` in the source, is <function><instructions>; a vector has MF_VECTOR_BYTES."""
    for instructions, copts in _INSTRUCTIONS.items():
        mf_library(
            name = name + "_" + instructions.lower(),
            srcs = [name + ".cc"],
            hdrs = [name + ".h"],
            copts = copts + [
                "-O3",
                # Vectors of 64 bytes are passed between functions of one source only.
                "-Wno-psabi",
                # GCC 12's own header of AVX-512 functions; Clang does not know the warning.
                "-Wno-maybe-uninitialized",
                "-Wno-unknown-warning-option",
            ],
            local_defines = [
                "%s=%s%s" % (define, function, instructions),
                "MF_VECTOR_BYTES=%d" % _VECTOR_BYTES[instructions],
            ],
            visibility = ["//visibility:private"],
        )
    mf_library(
        name = name,
        hdrs = [name + ".h"],
        visibility = ["//visibility:private"],
        deps = [name + "_" + instructions.lower() for instructions in _INSTRUCTIONS],
    )
