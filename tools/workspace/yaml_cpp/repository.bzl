load("//tools/workspace/debian:repository.bzl", "debian_repository")

def yaml_cpp_repository(name):
    debian_repository(
        name = name,
        build_file = "//tools/workspace/yaml_cpp:package.BUILD.bazel",
        packages = {"libyaml-cpp-dev": "0.7.0"},
    )
