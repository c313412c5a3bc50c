#!/usr/bin/env python3
"""lint.py [--root DIR] [--fix]: what a machine can see of this repository's habits.

Looks at what git tracks (or would). One line per finding, FILE:LINE: WHAT; exit code 1 if there is any.
--fix formats the C++ sources first.

Exceptions, each with its reason, are lines "FILE: REASON" in tools/lint/long_files.txt and
tools/lint/untested_files.txt. An exception that is no longer needed is a finding too.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import time

MAX_LINES = 400
MAX_BYTES = 2 << 20
CLANG_FORMAT = 14

CPP = (".h", ".cc", ".cu", ".cuh")
CODE = CPP + (".proto", ".bzl", ".bazel", ".py", ".sh", ".mk", ".textproto")
# Files that build, fetch or run things: what they name must be on every machine.
RUNNABLE = (".sh", ".bzl", ".bazel", ".mk", ".py", "Makefile", "WORKSPACE", "demo", "test", ".ci/run", ".bazelrc")
# What people read: whole, and true on every machine.
TEXT = (".md",)

# Which rooms a room may include; each includes itself.
ROOMS = {
    "proto": [],
    "base": ["proto"],
    "geometry": ["proto", "base"],
    "data": ["proto", "base", "geometry"],
    "model": ["proto", "base"],
    "train": ["proto", "base", "geometry", "data", "model"],
    "eval": ["proto", "base", "geometry", "data", "model"],
    "tools": ["proto", "base", "geometry", "data", "model", "train", "eval"],
}
INCLUDE = re.compile(r'\s*#include "([^"/]+)/')
INCLUDED = re.compile(r'\s*#include "(.+)\.h"').match

# Split, so that this file does not find itself.
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")
ONE_MACHINE = re.compile(r"(^|[^\w.])/(root|home|work|Users)/\w|\.\./sha" r"red\b")
ADDRESS = re.compile(r"\b(https?|ftp)" r"://")

LINK = re.compile(r"\]\(([^)#:]+)\)")
LABEL = re.compile(r"//([a-z_]+(?:/[a-z_]+)*):([a-z_]+)\b")

UNTESTED = re.compile(r"(_test|_main|_fuzz|_bench|_benchmark)\.cc$|(^|/)testing/")


class Lint:
    def __init__(self, root):
        self.root = pathlib.Path(root)
        listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                                cwd=self.root, check=True, capture_output=True).stdout.decode()
        self.files = sorted(f for f in set(listed.split("\0")) if f and (self.root / f).is_file()
                            and not (self.root / f).is_symlink())
        self.findings = []

    def find(self, file, line, what):
        self.findings.append((file, line, what))

    def lines(self, file):
        return (self.root / file).read_text(encoding="utf-8", errors="replace").splitlines()

    def exceptions(self, list_name):
        """{file: line} of an exception list; malformed lines are findings."""
        path = "tools/lint/" + list_name
        excepted = {}
        if not (self.root / path).exists():
            return excepted
        for number, line in enumerate(self.lines(path), 1):
            if not line.strip() or line.startswith("#"):
                continue
            file, _, reason = line.partition(":")
            if not reason.strip():
                self.find(path, number, "no reason given (FILE: REASON)")
            excepted[file] = number
        return excepted

    def apply_exceptions(self, list_name, offenders):
        """Findings for the offenders {file: what} that are not excepted, and for what is excepted in vain."""
        excepted = self.exceptions(list_name)
        for file, what in offenders.items():
            if file not in excepted:
                self.find(file, 1, what + " (or say why in tools/lint/%s)" % list_name)
        for file, number in excepted.items():
            if file not in offenders:
                self.find("tools/lint/" + list_name, number, "%s needs no exception" % file)

    def check_size(self):
        long_files = {}
        for file in self.files:
            if (self.root / file).stat().st_size > MAX_BYTES:
                self.find(file, 1, "larger than %d MiB" % (MAX_BYTES >> 20))
            elif file.endswith(CODE):
                n = len(self.lines(file))
                if n > MAX_LINES:
                    long_files[file] = "%d lines are more than %d" % (n, MAX_LINES)
        self.apply_exceptions("long_files.txt", long_files)

    def check_tests(self):
        """x.cc needs x_test.cc beside it, or a test beside it that includes x.h."""
        tested = set()
        for test in self.files:
            if test.endswith("_test.cc"):
                folder = test.rpartition("/")[0] + "/"
                tested.add(test[:-len("_test.cc")])
                tested.update(include[1] for include in map(INCLUDED, self.lines(test))
                              if include and include[1].rpartition("/")[0] + "/" == folder)
        untested = {file: "no test beside it is called %s_test.cc or includes its header" % file[:-3].split("/")[-1]
                    for file in self.files
                    if file.endswith(".cc") and not UNTESTED.search(file) and file[:-3] not in tested}
        self.apply_exceptions("untested_files.txt", untested)

    def check_includes(self):
        for file in self.files:
            room = file.split("/")[0]
            if not file.endswith(CPP) or room not in ROOMS:
                continue
            for number, line in enumerate(self.lines(file), 1):
                include = INCLUDE.match(line)
                if include and include[1] in ROOMS and include[1] not in ROOMS[room] + [room]:
                    self.find(file, number, "%s may not include %s" % (room, include[1]))

    def check_words(self):
        for file in self.files:
            looked_at, runnable = file.endswith(CODE + RUNNABLE + TEXT), file.endswith(RUNNABLE + TEXT)
            if not looked_at or file.startswith("tools/lint/testdata/"):
                continue
            for number, line in enumerate(self.lines(file), 1):
                if UNFINISHED.search(line):
                    self.find(file, number, "unfinished: " + line.strip()[:60])
                if ONE_MACHINE.search(line):
                    self.find(file, number, "path of one machine: " + line.strip()[:60])
                if runnable and ADDRESS.search(line):
                    self.find(file, number, "network address: " + line.strip()[:60])

    def check_texts(self):
        """What a text links to or calls by its label is there."""
        for file in self.files:
            if not file.endswith(TEXT):
                continue
            for number, line in enumerate(self.lines(file), 1):
                for link in LINK.findall(line):
                    if not (self.root / file).parent.joinpath(link).exists():
                        self.find(file, number, "leads nowhere: " + link)
                for folder, target in LABEL.findall(line):
                    build = self.root / folder / "BUILD.bazel"
                    if not build.exists() or '"%s"' % target not in build.read_text():
                        self.find(file, number, "no target //%s:%s" % (folder, target))

    def check_format(self, fix):
        sources = [f for f in self.files if f.endswith(CPP)]
        try:
            version = subprocess.run(["clang-format", "--version"], capture_output=True, text=True).stdout
        except FileNotFoundError:
            version = "none"
        found = re.search(r"version (\d+)", version)
        if not found or int(found[1]) != CLANG_FORMAT:
            self.find(".clang-format", 1, "needs clang-format %d (apt-get install clang-format), found %s"
                      % (CLANG_FORMAT, version.strip()))
            return
        mode = ["-i"] if fix else ["--dry-run", "--Werror", "--ferror-limit=1"]
        chunks = [sources[i:i + 8] for i in range(0, len(sources), 8)]

        def run(chunk):
            return subprocess.run(["clang-format", *mode, *chunk], cwd=self.root, capture_output=True, text=True).stderr

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for errors in pool.map(run, chunks):
                for file, line in re.findall(r"^(\S+?):(\d+):\d+: error", errors, re.M):
                    self.find(file, int(line), "not as clang-format would have it (make format)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--fix", action="store_true")
    args = parser.parse_args()
    start = time.monotonic()
    lint = Lint(args.root)
    lint.check_size()
    lint.check_tests()
    lint.check_includes()
    lint.check_words()
    lint.check_texts()
    lint.check_format(args.fix)
    # clang-format names a file once for each of its lines.
    for file, line, what in sorted(set(lint.findings)):
        print("%s:%d: %s" % (file, line, what))
    print("lint: %d files, %d findings (%.1f s)"
          % (len(lint.files), len(set(lint.findings)), time.monotonic() - start), file=sys.stderr)
    sys.exit(1 if lint.findings else 0)


if __name__ == "__main__":
    main()
