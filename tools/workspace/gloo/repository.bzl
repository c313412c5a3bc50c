load("//tools/workspace/debian:repository.bzl", "debian_repository")

def gloo_repository(name):
    debian_repository(
        name = name,
        build_file = "//tools/workspace/gloo:package.BUILD.bazel",
        packages = {"libgloo-dev": "0.0~git20220518"},
    )
