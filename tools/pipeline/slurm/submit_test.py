#!/usr/bin/env python3
"""submit.sh and job.sh with an sbatch and programs that write down what they are given. check.sh has real ones."""
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

HERE = pathlib.Path("tools/pipeline/slurm").absolute()

NOTE = """#!/usr/bin/env python3
import json, os, pathlib, sys
log = pathlib.Path(os.environ["LOG"])
with log.open("a") as file:
    file.write(json.dumps([os.path.basename(sys.argv[0])] + sys.argv[1:]) + "\\n")
if os.path.basename(sys.argv[0]) == "sbatch":
    calls = len(log.read_text().splitlines())
    if os.environ.get("REFUSE") == str(calls):
        sys.exit("sbatch: error: no")
    print("%d;cluster" % (100 + calls))
"""


class SlurmTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.log = self.root / "log"
        for name in ("sbatch", "scancel", "scontrol", "bin dir/build_cache", "bin dir/merge_shards"):
            self.program(name, NOTE)
        self.env = {"PATH": "%s:%s" % (self.root, os.environ["PATH"]), "LOG": str(self.log)}
        self.build = str(self.root / "bin dir/build_cache")

    def program(self, name, text):
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def calls(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def run_script(self, *command, **env):
        return subprocess.run([HERE / command[0], *command[1:]], env={**self.env, **env}, text=True, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def test_array_and_merging_that_depends_on_it(self):
        ran = self.run_script("submit.sh", "3", "--time=5", "-p", "big", "--", self.build, "out_root=my cache", "seed=1")
        self.assertEqual((ran.returncode, ran.stdout), (0, "101 102\n"), ran.stderr)
        array, merge = self.calls()
        job = str(HERE / "job.sh")
        self.assertEqual(array[array.index(job):], [job, "--shards", "3", self.build, "out_root=my cache", "seed=1"])
        self.assertEqual(merge[merge.index(job):],
                         [job, str(self.root / "bin dir/merge_shards"), "cache_root=my cache"])
        for call in (array, merge):
            self.assertIn("--time=5", call)
            self.assertEqual(call[call.index("-p") + 1], "big")
            self.assertIn("--requeue", call)
        self.assertIn("--array=0-2", array)
        self.assertIn("--dependency=afterok:101", merge)
        self.assertFalse([a for a in merge if a.startswith("--array")])

    def test_some_tasks_again_keep_the_number_of_shards(self):
        for option in (["--array=3,7"], ["-a", "3,7"], ["--array", "3,7"]):
            self.log.unlink(missing_ok=True)
            ran = self.run_script("submit.sh", "8", *option, "--", self.build, "out_root=c")
            self.assertEqual(ran.returncode, 0, ran.stderr)
            array, merge = self.calls()
            self.assertIn("--array=3,7", array)
            self.assertEqual(array[array.index("--shards") + 1], "8")
            self.assertNotIn("3,7", " ".join(merge))

    def test_what_is_refused_submits_nothing(self):
        for words, what in (
                (["x", "--", self.build, "out_root=c"], "SHARDS is 'x'"),
                (["0", "--", self.build, "out_root=c"], "SHARDS is '0'"),
                (["3", self.build, "out_root=c"], "no --"),
                (["3", "--", "nowhere/build_cache", "out_root=c"], "no program"),
                (["3", "--", self.build, "--config", "c.textproto"], "out_root=DIR"),
                (["3", "--", self.build, "out_root=c", "shard=0/3"], "shard=0/3"),
                (["3", "--", str(self.root / "sbatch"), "out_root=c"], "no merge_shards beside")):
            ran = self.run_script("submit.sh", *words)
            self.assertEqual(ran.returncode, 2, words)
            self.assertIn(what, ran.stderr)
        self.assertEqual(self.calls(), [])

    def test_an_array_nobody_would_merge_is_cancelled(self):
        ran = self.run_script("submit.sh", "3", "--", self.build, "out_root=c", REFUSE="2")
        self.assertEqual(ran.returncode, 2)
        self.assertEqual(self.calls()[-1], ["scancel", "101"])

    def test_a_task_builds_its_shard_with_its_cpus(self):
        ran = self.run_script("job.sh", "--shards", "8", self.build, "a=1 2", SLURM_ARRAY_TASK_ID="7",
                              SLURM_ARRAY_TASK_COUNT="2", SLURM_CPUS_PER_TASK="4")
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertEqual(self.calls(), [["build_cache", "num_threads=4", "a=1 2", "shard=7/8"]])
        ran = self.run_script("job.sh", "--shards", "8", self.build, SLURM_ARRAY_TASK_ID="8")
        self.assertEqual(ran.returncode, 2)
        self.assertEqual(len(self.calls()), 1)

    def test_a_failure_is_the_jobs(self):
        self.program("fails", "#!/bin/bash\nexit 3\n")
        self.assertEqual(self.run_script("job.sh", str(self.root / "fails")).returncode, 3)
        self.assertEqual(self.calls(), [])

    def interrupt(self, number, program):
        self.program("slow", program)
        job = subprocess.Popen([HERE / "job.sh", str(self.root / "slow")], env={**self.env, "SLURM_JOB_ID": "9"},
                               cwd=self.root, stderr=subprocess.PIPE)
        for _ in range(1000):
            if (self.root / "begun").exists():
                break
            time.sleep(0.01)
        job.send_signal(number)
        self.addCleanup(job.stderr.close)
        return job.wait(timeout=60)

    ENDS_CLEANLY = "#!/bin/bash\ntrap 'sleep 0.1; touch ended; exit %d' TERM\ntouch begun\nwhile :; do sleep 0.02; done\n"

    def test_out_of_time_it_stops_the_program_and_requeues_itself(self):
        self.assertEqual(self.interrupt(signal.SIGUSR1, self.ENDS_CLEANLY % 1), 1)
        self.assertTrue((self.root / "ended").exists())
        self.assertEqual(self.calls(), [["scontrol", "requeue", "9"]])

    def test_done_just_in_time_it_is_not_requeued(self):
        self.assertEqual(self.interrupt(signal.SIGUSR1, self.ENDS_CLEANLY % 0), 0)
        self.assertEqual(self.calls(), [])

    def test_terminated_it_waits_for_the_program(self):
        self.assertEqual(self.interrupt(signal.SIGTERM, self.ENDS_CLEANLY % 1), 1)
        self.assertTrue((self.root / "ended").exists())
        self.assertEqual(self.calls(), [])


if __name__ == "__main__":
    unittest.main()
