load("//tools/workspace/debian:repository.bzl", "debian_repository")

def libzip_repository(name):
    debian_repository(
        name = name,
        build_file = "//tools/workspace/libzip:package.BUILD.bazel",
        packages = {"libzip-dev": "1.7.3"},
    )
