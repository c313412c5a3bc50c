load("//tools/workspace/debian:repository.bzl", "debian_repository")

def xxhash_repository(name):
    debian_repository(
        name = name,
        build_file = "//tools/workspace/xxhash:package.BUILD.bazel",
        packages = {"libxxhash-dev": "0.8.1"},
    )
