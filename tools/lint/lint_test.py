#!/usr/bin/env python3
"""Feeds lint.py a tree with one fault of each kind, and a tree without."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

# From the repository's root, as Bazel runs tests.
LINT = pathlib.Path("tools/lint/lint.py").absolute()
CLEAN = {
    ".clang-format": "BasedOnStyle: Google\n",
    "base/a.h": "#pragma once\n",
    "base/a.cc": '#include "base/a.h"\n',
    "base/a_test.cc": '#include "base/a.h"\n',
    "data/b_main.cc": '#include "base/a.h"\n#include "geometry/c.h"\n\nint main() {}\n',
    "tools/lint/untested_files.txt": "# FILE: REASON\n",
}


class LintTest(unittest.TestCase):
    def lint(self, changes=(), *options):
        """(exit code, findings) of CLEAN with some files replaced."""
        with tempfile.TemporaryDirectory() as root:
            for name, text in {**CLEAN, **dict(changes)}.items():
                path = pathlib.Path(root, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            subprocess.run(["git", "init", "-q"], cwd=root, check=True,
                           env=dict(os.environ, HOME=root, GIT_CONFIG_NOSYSTEM="1"))
            done = subprocess.run([sys.executable, LINT, "--root", root, *options], capture_output=True, text=True)
            self.after = {name: pathlib.Path(root, name).read_text() for name in dict(changes)}
            return done.returncode, done.stdout

    def expect(self, finding, changes):
        code, findings = self.lint(changes)
        self.assertEqual(code, 1)
        self.assertEqual(findings.count("\n"), 1, findings)
        self.assertIn(finding, findings)

    def test_clean_tree(self):
        self.assertEqual(self.lint(), (0, ""))

    def test_format(self):
        self.expect("base/a.h:2: not as clang-format", {"base/a.h": "#pragma once\nint  a;\n"})

    def test_fix(self):
        self.assertEqual(self.lint({"base/a.h": "#pragma once\nint  a;\n"}, "--fix"), (0, ""))
        self.assertEqual(self.after["base/a.h"], "#pragma once\nint a;\n")

    def test_long_file(self):
        self.expect("base/x.py:1: 401 lines", {"base/x.py": "\n" * 401})
        self.assertEqual(self.lint({"base/x.py": "\n" * 400}), (0, ""))
        self.assertEqual(self.lint({"base/x.py": "\n" * 401, "tools/lint/long_files.txt": "base/x.py: a table\n"}),
                         (0, ""))

    def test_large_file(self):
        self.expect("base/x.bin:1: larger", {"base/x.bin": "x" * (2 << 20) + "x"})

    def test_exception_without_reason_or_need(self):
        self.expect("long_files.txt:1: no reason", {"base/x.py": "\n" * 401, "tools/lint/long_files.txt": "base/x.py:\n"})
        self.expect("untested_files.txt:2: base/a.cc needs no", {"tools/lint/untested_files.txt": "#\nbase/a.cc: why\n"})

    def test_untested_source(self):
        self.expect("base/x.cc:1: no test beside it", {"base/x.cc": ""})
        self.expect("base/x.cc:1: no test", {"base/x.cc": "", "data/y_test.cc": '#include "base/x.h"\n'})
        self.assertEqual(self.lint({"base/x.cc": "", "base/y_test.cc": '#include "base/x.h"\n'}), (0, ""))

    def test_rooms(self):
        self.expect("base/a.h:2: base may not include data", {"base/a.h": '#pragma once\n#include "data/b.h"\n'})
        self.expect("model/a.h:1: model may not include geometry", {"model/a.h": '#include "geometry/b.h"\n'})
        self.expect("eval/a.h:1: eval may not include train", {"eval/a.h": '#include "train/b.h"\n'})

    def test_words(self):
        self.expect("base/x.sh:1: unfinished", {"base/x.sh": "# TO" "DO: more\n"})
        self.expect("base/x.py:2: path of one machine", {"base/x.py": "\nopen('/ho" "me/ann/x')\n"})
        self.expect("Makefile:1: network address", {"Makefile": "# http" "s://example.org\n"})
        # Sources may name an address: an XML namespace is one.
        self.assertEqual(self.lint({"base/a.h": "#pragma once\n// http" "://example.org\n"}), (0, ""))

        self.expect("docs/a.md:2: network address", {"docs/a.md": "A\nhttp" "s://example.org\n"})

    def test_texts(self):
        self.expect("docs/a.md:1: leads nowhere: b.md", {"docs/a.md": "[b](b.md)\n"})
        self.expect("a.md:1: no target //data:buld", {"a.md": "`//data:buld`\n", "data/BUILD.bazel": 'name = "build"\n'})
        self.assertEqual(self.lint({"docs/a.md": "[b](b.md), [c](../c.md#d), `//data:build`, `//data`\n", "docs/b.md": "",
                                    "c.md": "", "data/BUILD.bazel": 'name = "build"\n'}), (0, ""))

    def test_ignored_files_are_not_looked_at(self):
        self.assertEqual(self.lint({".gitignore": "out/\n", "out/x.sh": "# TO" "DO\n"}), (0, ""))


if __name__ == "__main__":
    unittest.main()
