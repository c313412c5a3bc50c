#!/usr/bin/env python3
"""summarize_tests.py [--lint=pass|fail] [--bazel_status=N] EVENTS

Counts the test cases of a `bazel test --build_event_json_file=EVENTS`: each GoogleTest case, one for any other
test. What failed is listed; the last line is "N passed, N failed". A test program that dies, runs no case or
does not build is one failure. The exit code is 0 if something passed and nothing failed.
"""
import argparse
import json
import sys
import urllib.parse
import xml.etree.ElementTree

# Bazel's exit codes that the counts below account for: 0 all well, 1 did not build, 3 tests failed.
EXPLAINED = (0, 1, 3)


class Summary:
    def __init__(self):
        self.passed = 0
        self.skipped = 0
        self.failures = []

    def fail(self, what, detail=""):
        self.failures.append((what, detail))

    def add_xml(self, label, text):
        """The cases of one test.xml; how many there were, and how many of them failed."""
        cases = failed = 0
        for case in xml.etree.ElementTree.fromstring(text).iter("testcase"):
            cases += 1
            problem = next((e for e in case if e.tag in ("failure", "error")), None)
            if problem is not None:
                failed += 1
                name = ".".join(filter(None, (case.get("classname"), case.get("name"))))
                self.fail("%s  %s" % (label, name), problem.get("message") or problem.text or "")
            elif case.get("result") == "skipped" or case.find("skipped") is not None:
                self.skipped += 1
            else:
                self.passed += 1
        return cases, failed

    def add_result(self, label, result):
        """One run (a shard's last attempt) of a test program."""
        outputs = {o["name"]: urllib.parse.unquote(urllib.parse.urlparse(o["uri"]).path)
                   for o in result.get("testActionOutput", ()) if o.get("uri", "").startswith("file:")}
        log = outputs.get("test.log", "no log")
        cases = failed = 0
        try:
            with open(outputs["test.xml"], encoding="utf-8", errors="replace") as f:
                cases, failed = self.add_xml(label, f.read())
        except (KeyError, OSError, xml.etree.ElementTree.ParseError):
            pass  # it died before it could write one
        if result.get("status") != "PASSED":
            if not failed:
                self.fail("%s  %s" % (label, result.get("status", "NO STATUS")), log)
        elif not cases:
            self.fail("%s  ran no test case" % label, log)


def summarize(events, summary):
    results = {}
    for event in events:
        id = event.get("id", {})
        if "testResult" in id and "testResult" in event:
            key = id["testResult"]
            # Attempts come in order: the last one stays.
            results[key["label"], key.get("run"), key.get("shard")] = event["testResult"]
        elif "targetCompleted" in id and not event.get("completed", {}).get("success"):
            summary.fail("%s  does not build" % id["targetCompleted"]["label"])
        elif "configuredLabel" in id and "aborted" in event:
            summary.fail("%s  cannot be analysed" % id["configuredLabel"].get("label"),
                         event["aborted"].get("description", ""))
    for (label, _, _), result in sorted(results.items(), key=lambda item: item[0][0]):
        summary.add_result(label, result)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lint", choices=("pass", "fail"))
    parser.add_argument("--bazel_status", type=int, default=0)
    parser.add_argument("events")
    args = parser.parse_args()

    summary = Summary()
    with open(args.events, encoding="utf-8") as f:
        summarize((json.loads(line) for line in f if line.strip()), summary)
    if args.bazel_status and (args.bazel_status not in EXPLAINED or not summary.failures):
        summary.fail("bazel test", "exit code %d, see above" % args.bazel_status)
    if args.lint == "fail":
        summary.fail("lint", "see the findings above, or call tools/lint/lint.py")
    elif args.lint == "pass":
        summary.passed += 1

    print()
    for what, detail in summary.failures:
        print("FAILED  " + what)
        for line in detail.strip().splitlines()[:6]:
            print("        " + line)
    if summary.skipped:
        print("%d skipped" % summary.skipped)
    print("%d passed, %d failed" % (summary.passed, len(summary.failures)))
    sys.exit(0 if summary.passed and not summary.failures else 1)


if __name__ == "__main__":
    main()
