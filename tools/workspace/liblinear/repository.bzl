load("//tools/workspace/debian:repository.bzl", "debian_repository")

def liblinear_repository(name):
    debian_repository(
        name = name,
        build_file = "//tools/workspace/liblinear:package.BUILD.bazel",
        packages = {"liblinear-dev": "2.3.0"},
    )
