load("//tools/workspace/debian:repository.bzl", "debian_repository")

def libdeflate_repository(name):
    debian_repository(
        name = name,
        build_file = "//tools/workspace/libdeflate:package.BUILD.bazel",
        packages = {"libdeflate-dev": "1.14"},
    )
