#!/usr/bin/env python3
"""Runs run_fuzzers.sh with a bazel that knows three targets: what they print and find is the test's."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

SCRIPT = pathlib.Path("tools/bazel/run_fuzzers.sh").absolute()

BAZEL = """#!/bin/bash
case "$*" in
  query*tags*) printf '//a:fast_fuzz\\n//a:slow_fuzz\\n//b:bad_fuzz\\n' ;;
  query*) echo //a:seed ;;
  info*) echo "$PWD/bin" ;;
esac
"""
FUZZER = """#!/bin/bash
[ -e seeds/seed ] && [ -d corpus ] && [ "$1" = -max_total_time=7 ] || exit 3
%s
echo '#1024 NEW    cov: 12 ft: 13 corp: 3/9b'
echo '#2048 DONE   cov: 345 ft: 13 corp: 3/9b'
echo 'stat::average_exec_per_sec:     %d'
echo 'stat::new_units_added:          4'
echo 'stat::peak_rss_mb:              88'
"""


class RunFuzzersTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        (self.root / "tools/bazel").mkdir(parents=True)
        shutil.copy(SCRIPT, self.root / "tools/bazel")
        self.program("bazel", BAZEL)
        (self.root / "a").mkdir()
        (self.root / "a/seed").write_text("s")
        self.fuzzer("a/fast_fuzz", 2000)
        self.fuzzer("a/slow_fuzz", 3)
        self.fuzzer("b/bad_fuzz", 20)

    def program(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def fuzzer(self, name, speed, does=""):
        self.program("bin/" + name, FUZZER % (does, speed))

    def run_script(self, *arguments, jobs="2"):
        env = dict(os.environ, BAZEL=str(self.root / "bazel"), FUZZ_JOBS=jobs)
        ran = subprocess.run([self.root / "tools/bazel/run_fuzzers.sh", "7", *arguments], env=env, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return ran.returncode, ran.stdout.splitlines()

    def test_one_aligned_line_a_target(self):
        code, lines = self.run_script(jobs="1")
        self.assertEqual(code, 0, lines)
        self.assertEqual(lines, [
            "3 fuzz targets, 7 s each, 1 at a time",
            "//a:fast_fuzz      2000 runs/s    345 edges      4 new    88 MiB   nothing",
            "//a:slow_fuzz         3 runs/s    345 edges      4 new    88 MiB   nothing",
            "//b:bad_fuzz         20 runs/s    345 edges      4 new    88 MiB   nothing",
            "3 fuzz targets, nothing found"])

    def test_two_run_at_once(self):
        # Each waits for the other's file: one after the other, they would not end well.
        meet = 'touch "$TMPDIR/%s"; for i in {1..500}; do [ -e "$TMPDIR/%s" ] && break; sleep 0.02; done;' \
               '[ -e "$TMPDIR/%s" ] || exit 4'
        self.fuzzer("a/fast_fuzz", 1, meet % ("fast", "slow", "slow"))
        self.fuzzer("a/slow_fuzz", 1, meet % ("slow", "fast", "fast"))
        code, lines = self.run_script("//a:fast_fuzz", "//a:slow_fuzz")
        self.assertEqual(code, 0, lines)
        self.assertEqual(lines[0], "2 fuzz targets, 7 s each, 2 at a time")

    def test_what_was_found_is_named(self):
        (self.root / "out/fuzz/b_bad_fuzz").mkdir(parents=True)
        old = self.root / "out/fuzz/b_bad_fuzz/crash-0ld"
        old.write_text("")
        os.utime(old, (1, 1))
        self.fuzzer("b/bad_fuzz", 20, "sleep 0.05; touch crash-c0ffee; exit 77")
        code, lines = self.run_script()
        self.assertEqual(code, 1, lines)
        bad = [line for line in lines if line.startswith("//b:bad_fuzz")]
        self.assertEqual(len(bad), 1, lines)
        self.assertTrue(bad[0].endswith("FOUND crash-c0ffee, out/fuzz/b_bad_fuzz/log"), bad)
        self.assertEqual(lines[-1], "FOUND  //b:bad_fuzz")

    def test_a_program_that_does_not_start_is_no_success(self):
        (self.root / "bin/a/slow_fuzz").unlink()
        code, lines = self.run_script()
        self.assertEqual(code, 1, lines)
        self.assertEqual(lines[-1], "FOUND  //a:slow_fuzz")


if __name__ == "__main__":
    unittest.main()
