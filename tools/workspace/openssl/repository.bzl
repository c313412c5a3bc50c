load("//tools/workspace/debian:repository.bzl", "debian_repository")

def openssl_repository(name):
    debian_repository(
        name = name,
        build_file = "//tools/workspace/openssl:package.BUILD.bazel",
        packages = {"libssl-dev": "3.0."},
    )
