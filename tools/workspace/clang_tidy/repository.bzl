"""@clang_tidy: the clang-tidy that tools/setup/setup.sh --dev put on this machine."""

_VERSION = "23.1.4"

def _impl(rctx):
    home = rctx.os.environ.get("HOME", "")
    folders = [rctx.os.environ.get("CLANG_TIDY_DIR", ""), "/opt/clang-tidy-" + _VERSION]
    folders.append(home + "/.local/share/manyform/clang-tidy-" + _VERSION)
    for folder in folders:
        program = folder + "/clang_tidy/data/bin/clang-tidy"
        if folder and rctx.path(program).exists:
            rctx.file("vars.bzl", "CLANG_TIDY = %r\nVERSION = %r\n" % (program, _VERSION))
            rctx.file("BUILD.bazel", "")
            return
    fail("\n\n  @clang_tidy: there is no clang-tidy %s in %s.\n  Fix:  tools/setup/setup.sh --dev\n" %
         (_VERSION, " or ".join([f for f in folders if f])))

clang_tidy_repository = repository_rule(
    implementation = _impl,
    configure = True,
    environ = ["CLANG_TIDY_DIR", "HOME"],
    local = True,
)
