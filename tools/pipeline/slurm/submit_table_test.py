#!/usr/bin/env python3
"""submit_table.sh with an sbatch and a make that write down what they are given; m1_test.py has the real makefile."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

HERE = pathlib.Path("tools/pipeline/slurm").absolute()

SBATCH = """#!/usr/bin/env python3
import json, os, pathlib, sys
log = pathlib.Path(os.environ["LOG"])
with log.open("a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
if os.environ.get("REFUSE"):
    sys.exit("sbatch: error: no")
print("%d;cluster" % (100 + len(log.read_text().splitlines())))
"""

# Two pretrainings, a cell from scratch and two from each; DONE lists numbers.
MAKE = """#!/bin/bash
case "$*" in
  *" jobs") printf '0 pre_a -\\n1 pre_b -\\n2 scratch -\\n3 a_0 0\\n4 a_1 0\\n5 b_0 1\\n6 b_1 1\\n' ;;
  *"-q data") [ -z "$NO_DATA" ] ;;
  *"-q task SLURM_ARRAY_TASK_ID="*) last=${!#}; [[ " $DONE " == *" ${last#*=} "* ]] ;;
  *) exit 9 ;;
esac
"""


class SubmitTableTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.log = self.root / "log"
        for name, text in (("sbatch", SBATCH), ("make", MAKE)):
            (self.root / name).write_text(text)
            (self.root / name).chmod(0o755)

    def submit(self, *arguments, **env):
        env = {"PATH": "%s:%s" % (self.root, os.environ["PATH"]), "LOG": str(self.log), **env}
        self.ran = subprocess.run([HERE / "submit_table.sh", *arguments], env=env, text=True, timeout=60,
                                  capture_output=True)
        calls = [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return calls

    def jobs(self, calls):
        """{array: the job it waits for}"""
        found = {}
        for call in calls:
            option = {a.split("=")[0]: a.partition("=")[2] for a in call if a.startswith("--")}
            found[option["--array"]] = option.get("--dependency")
        return found

    def test_what_starts_from_a_pretraining_waits_for_it(self):
        calls = self.submit("--time=5", "-p", "big", "--", "PROFILE=paper", "OPTIONS=a b")
        self.assertEqual(self.ran.returncode, 0, self.ran.stderr)
        self.assertEqual(self.jobs(calls),
                         {"0": None, "1": None, "2": None, "3,4": "afterok:101", "5,6": "afterok:102"})
        for call in calls:
            self.assertIn("--requeue", call)
            self.assertIn("--time=5", call)
            self.assertEqual(call[call.index("-p") + 1], "big")
            self.assertEqual(call[call.index(str(HERE / "job.sh")) + 1:],
                             ["make", "--no-print-directory", "-f", "tools/pipeline/m1/m1.mk", "PROFILE=paper",
                              "OPTIONS=a b", "task"])

    def test_what_is_finished_is_not_submitted(self):
        self.assertEqual(self.jobs(self.submit("--", DONE="0 2 3")), {"1": None, "4": None, "5,6": "afterok:101"})
        self.assertEqual(self.submit("--", DONE="0 1 2 3 4 5 6"), [])
        self.assertEqual(self.ran.stdout, "everything is finished\n")

    def test_what_is_refused_submits_nothing(self):
        for words, env, what in ((["PROFILE=paper"], {}, "no --"), (["--array=3", "--"], {}, "--array=3"),
                                 (["--"], {"NO_DATA": "1"}, "the data is not there")):
            self.assertEqual(self.submit(*words, **env), [])
            self.assertEqual(self.ran.returncode, 2, words)
            self.assertIn(what, self.ran.stderr)

    def test_a_cluster_that_refuses_is_a_failure(self):
        self.assertEqual(len(self.submit("--", REFUSE="1")), 1)
        self.assertEqual(self.ran.returncode, 2)


if __name__ == "__main__":
    unittest.main()
