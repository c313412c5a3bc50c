#!/usr/bin/env python3
"""Gives summarize_tests.py small build event files."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

SUMMARIZE = pathlib.Path("tools/bazel/summarize_tests.py").absolute()

GTEST = """<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="4" failures="1" name="AllTests"><testsuite name="A" tests="4">
  <testcase name="Works" status="run" result="completed" classname="A" />
  <testcase name="WorksToo" status="run" result="completed" classname="A" />
  <testcase name="Breaks" status="run" result="completed" classname="A">
    <failure message="a.cc:7&#x0A;Expected: 1" type=""></failure></testcase>
  <testcase name="Waits" status="run" result="skipped" classname="A"><skipped message="no GPU"/></testcase>
</testsuite></testsuites>"""
PASSES = '<testsuites><testsuite><testcase name="shell" status="run"></testcase></testsuite></testsuites>'


class SummarizeTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.files = 0

    def result(self, label, xml, status="PASSED", attempt=1):
        self.files += 1
        path = pathlib.Path(self.folder.name, "test %d.xml" % self.files)
        if xml is not None:
            path.write_text(xml)
        outputs = [{"name": "test.log", "uri": "file:///the.log"}]
        if xml is not None:
            outputs.append({"name": "test.xml", "uri": path.as_uri()})
        return {"id": {"testResult": {"label": label, "run": 1, "shard": 1, "attempt": attempt}},
                "testResult": {"status": status, "testActionOutput": outputs}}

    def summarize(self, events, *options):
        path = pathlib.Path(self.folder.name, "events")
        path.write_text("".join(json.dumps(e) + "\n" for e in events))
        done = subprocess.run([sys.executable, SUMMARIZE, *options, path], capture_output=True, text=True)
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout.strip().splitlines()

    def test_counts_cases(self):
        code, lines = self.summarize([self.result("//a:t", GTEST, "FAILED"), self.result("//b:t", PASSES)])
        self.assertEqual((code, lines[-2:]), (1, ["1 skipped", "3 passed, 1 failed"]))
        self.assertEqual(lines[0], "FAILED  //a:t  A.Breaks")
        self.assertIn("Expected: 1", lines[2])

    def test_all_well(self):
        self.assertEqual(self.summarize([self.result("//b:t", PASSES)], "--lint=pass"), (0, ["2 passed, 0 failed"]))

    def test_lint_counts(self):
        code, lines = self.summarize([self.result("//b:t", PASSES)], "--lint=fail")
        self.assertEqual((code, lines[-1]), (1, "1 passed, 1 failed"))

    def test_last_attempt_counts(self):
        events = [self.result("//b:t", None, "FAILED", 1), self.result("//b:t", PASSES, "PASSED", 2)]
        self.assertEqual(self.summarize(events), (0, ["1 passed, 0 failed"]))

    def test_programs_that_die(self):
        for xml in (None, "<testsuites><testsuite><testcase", PASSES):
            code, lines = self.summarize([self.result("//b:t", xml, "FAILED")], "--bazel_status=3")
            self.assertEqual(code, 1)
            self.assertIn("FAILED  //b:t  FAILED", lines)
            self.assertRegex(lines[-1], r"^[01] passed, 1 failed$")

    def test_nothing_ran(self):
        self.assertEqual(self.summarize([]), (1, ["0 passed, 0 failed"]))
        code, lines = self.summarize([self.result("//b:t", "<testsuites/>")])
        self.assertEqual((code, lines[-1]), (1, "0 passed, 1 failed"))

    def test_targets_that_do_not_build(self):
        broken = {"id": {"targetCompleted": {"label": "//c:lib"}}, "completed": {}}
        code, lines = self.summarize([self.result("//b:t", PASSES), broken], "--bazel_status=1")
        self.assertEqual((code, lines[0], lines[-1]), (1, "FAILED  //c:lib  does not build", "1 passed, 1 failed"))

    def test_bazel_itself_fails(self):
        for status in ("1", "37"):
            code, lines = self.summarize([self.result("//b:t", PASSES)], "--bazel_status=" + status)
            self.assertEqual((code, lines[-1]), (1, "1 passed, 1 failed"))


if __name__ == "__main__":
    unittest.main()
