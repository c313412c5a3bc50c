"""debian_rules_repository: Bazel rules as a Debian package installs them."""

def _impl(rctx):
    source = "/usr/share/bazel/rules/" + rctx.attr.rules
    if not rctx.path(source).exists:
        fail("\n\n  @%s: no %s.\n  Fix:  tools/setup/setup.sh, or apt-get install bazel-rules-%s\n" % (
            rctx.name,
            source,
            rctx.attr.rules,
        ))
    for entry in rctx.path(source).readdir():
        rctx.symlink(entry, entry.basename)

debian_rules_repository = repository_rule(
    implementation = _impl,
    attrs = {"rules": attr.string(mandatory = True, doc = "java: /usr/share/bazel/rules/java")},
    local = True,
)
