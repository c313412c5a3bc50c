load("//tools/workspace/debian:repository.bzl", "debian_repository")

def libpng_repository(name):
    debian_repository(
        name = name,
        build_file = "//tools/workspace/libpng:package.BUILD.bazel",
        packages = {"libpng-dev": "1.6.39"},
    )
