load("//tools/workspace/debian:repository.bzl", "debian_repository")

def nlohmann_json_repository(name):
    debian_repository(
        name = name,
        build_file = "//tools/workspace/nlohmann_json:package.BUILD.bazel",
        packages = {"nlohmann-json3-dev": "3.11.2"},
    )
