#!/usr/bin/env python3
"""Runs m1/m1.mk with the real expand and programs that only note what they are told and leave a record."""
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

SOURCE = pathlib.Path("tools/pipeline").absolute()
EXPAND = pathlib.Path("tools/pipeline/expand").absolute()
OUT = "out/m1_small"

# A trainer finds its run folder in its config, as the real ones do, and writes the record last.
PROGRAM = r"""#!/bin/bash
set -e
name=${0##*/}
arguments=$*
folder=
while [ $# -gt 0 ]; do
  case $1 in
    --config)
      while read -r field value; do [ "$field" != save_dir: ] || { folder=${value#?}; folder=${folder%?}; }; done < "$2"
      shift ;;
    --log) shift ;;
    out_root=*)
      mkdir -p "${1#*=}"
      if [ "$name" = import_furniture ]; then echo > "${1#*=}/catalogue.json"; else echo > "${1#*=}/manifest.binpb"; fi ;;
    record=* | output=* | markdown=* | csv=*) echo > "${1#*=}" ;;
  esac
  shift
done
run=${folder##*/}
echo "$name $run $arguments" >> calls
[ -n "$run" ] || exit 0
mkdir -p "$folder"
[ ! -e "fail_$run" ]
if [ -e "hang_$run" ]; then echo $$ > hangs; exec sleep 100; fi
echo > "$folder/record.binpb"
"""
PROGRAMS = ["tools/demo/import_furniture", "data/build_cache", "data/simulate_scans", "train/pretrain",
            "train/finetune", "eval/table", "eval/status"]


class TableTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        shutil.copytree(SOURCE, self.root / "tools/pipeline", ignore=lambda *_: ["expand"])
        for program in PROGRAMS:
            path = self.root / "bin" / program
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(PROGRAM)
            path.chmod(0o755)
        (self.root / "bin/tools/pipeline").mkdir(parents=True)
        (self.root / "bin/tools/pipeline/expand").symlink_to(EXPAND)
        self.env = dict(os.environ, MAKEFLAGS="")

    def command(self, *arguments):
        return ["make", "-k", "-f", "tools/pipeline/m1/m1.mk", "BIN=bin", *arguments]

    def make(self, *arguments, expect=0):
        """How often each program ran."""
        calls = self.root / "calls"
        calls.unlink(missing_ok=True)
        done = subprocess.run(self.command(*arguments), cwd=self.root, capture_output=True, text=True, env=self.env)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        self.assertNotIn("warning", done.stderr)
        self.calls = calls.read_text().splitlines() if calls.exists() else []
        names = [call.split()[0] for call in self.calls]
        return {name: names.count(name) for name in sorted(set(names))}

    def runs(self, process):
        try:
            return pathlib.Path("/proc", process, "stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except FileNotFoundError:
            return False

    def record(self, run):
        return self.root / OUT / "runs" / run / "record.binpb"

    def test_everything_once(self):
        self.assertEqual(self.make("-j3"), {"import_furniture": 1, "build_cache": 1, "simulate_scans": 1, "pretrain": 4,
                                            "finetune": 75, "table": 1, "status": 1})
        self.assertEqual(self.make(), {})

    def test_what_is_gone_is_made_again_with_what_hangs_on_it(self):
        self.make("-j3")
        self.record("scan_scratch_k5_s1").unlink()
        self.assertEqual(self.make(), {"finetune": 1, "table": 1, "status": 1})
        self.assertIn("scan_scratch_k5_s1", self.calls[0])
        self.record("shapenet_mix_mae_s0").unlink()
        self.assertEqual(self.make(), {"pretrain": 1, "finetune": 15, "table": 1, "status": 1})
        (self.root / OUT / "table.txt").unlink()
        self.assertEqual(self.make(), {"table": 1, "status": 1})

    def test_a_changed_declaration_concerns_the_runs_it_changes(self):
        self.make("-j3")
        declared = self.root / "tools/pipeline/m1/m1.textproto"
        text = declared.read_text()
        declared.write_text(text + "# a remark\n")
        self.assertEqual(self.make(), {})
        declared.write_text(text.replace('methods { name: "scratch" }',
                                         'methods { name: "scratch" finetune { lr: 0.5 } }'))
        (self.root / OUT / "runs/scan_scratch_k0_s0/of_the_older_config").touch()
        self.assertEqual(self.make(), {"finetune": 15, "table": 1, "status": 1})
        self.assertFalse((self.root / OUT / "runs/scan_scratch_k0_s0/of_the_older_config").exists())

    def test_one_that_fails_does_not_keep_the_others(self):
        (self.root / "fail_shapenet_mix_mae_s0").touch()
        (self.root / "fail_scan_scratch_k1_s2").touch()
        self.assertEqual(self.make("-j3", expect=2)["finetune"], 60)
        self.assertFalse(self.record("scan_scratch_k1_s2").exists())
        self.assertFalse((self.root / OUT / "table.txt").exists())
        self.assertEqual(self.make("table"), {"table": 1})
        self.assertEqual(self.calls[0].count("record.binpb"), 59)
        for failing in self.root.glob("fail_*"):
            failing.unlink()
        (self.root / OUT / "runs/scan_scratch_k1_s2/checkpoint").touch()
        self.assertEqual(self.make("-j3"), {"pretrain": 1, "finetune": 16, "table": 1, "status": 1})
        self.assertTrue((self.root / OUT / "runs/scan_scratch_k1_s2/checkpoint").exists(), "it went on")

    def test_killed_make_leaves_nobody_and_goes_on(self):
        (self.root / "hang_scan_scratch_k20_s0").touch()
        running = subprocess.Popen(self.command("-j1"), cwd=self.root, env=self.env, stdout=subprocess.DEVNULL)
        hangs = self.root / "hangs"
        while not hangs.exists() or not hangs.read_text().strip():
            time.sleep(0.05)
        running.send_signal(signal.SIGKILL)
        running.wait()
        for _ in range(200):
            if not self.runs(hangs.read_text().strip()):
                break
            time.sleep(0.05)
        self.assertFalse(self.runs(hangs.read_text().strip()), "the job ends with make")
        done = len(list((self.root / OUT / "runs").glob("*/record.binpb")))
        self.assertEqual(done, 12)
        (self.root / "hang_scan_scratch_k20_s0").unlink()
        self.assertEqual(self.make("-j3")["finetune"], 75 - done)

    def test_a_cell_by_its_number(self):
        self.make("data")
        self.assertEqual(self.make("task", "SLURM_ARRAY_TASK_ID=19"), {"pretrain": 1, "finetune": 1})
        self.assertIn("scan_shapenet_nepa_k0_s0", self.calls[1])
        self.assertEqual(self.make("task", "SLURM_ARRAY_TASK_ID=0"), {})

    def test_options_reach_every_training(self):
        self.make("-j3", "OPTIONS=device=cuda num_workers=4", "num_threads=2")
        for call in self.calls:
            if call.split()[0] in ("pretrain", "finetune"):
                self.assertTrue(call.endswith("num_threads=2 device=cuda num_workers=4"), call)


if __name__ == "__main__":
    unittest.main()
