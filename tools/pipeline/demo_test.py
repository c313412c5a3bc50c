#!/usr/bin/env python3
"""Runs demo.mk with programs that only note their arguments and touch their products."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path("tools/pipeline").absolute()
OUT = "out/demo"

# field=value arguments name the products; each program writes what the real one does.
PROGRAM = r"""#!/bin/bash
set -e
echo "$(basename $0) $*" >> calls
for argument; do
  case $argument in
    save_dir=*) mkdir -p "${argument#*=}"; date > "${argument#*=}/last.safetensors" ;;
    out_root=*)
      mkdir -p "${argument#*=}"
      case $0 in *import_furniture) f=catalogue.json ;; *) f=manifest.binpb ;; esac
      date > "${argument#*=}/$f" ;;
    record=* | output=* | markdown=* | csv=*) date > "${argument#*=}" ;;
  esac
done
[ ! -e fail_$(basename $0) ]
"""
PROGRAMS = ["tools/demo/import_furniture", "data/build_cache", "data/split_unpaired", "data/materialize",
            "train/pretrain", "train/finetune", "eval/ucpr", "eval/cpac", "eval/table", "eval/report"]
DOWNSTREAM_OF_CHECKPOINT = ["cpac", "finetune", "pretrain", "report", "table", "ucpr"]


class DemoTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        shutil.copytree(SOURCE, self.root / "tools/pipeline")
        for program in PROGRAMS:
            path = self.root / "bin" / program
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(PROGRAM)
            path.chmod(0o755)

    def make(self, expect=0):
        """The programs that ran, in order of their names."""
        calls = self.root / "calls"
        calls.unlink(missing_ok=True)
        done = subprocess.run(["make", "-f", "tools/pipeline/demo.mk", "BIN=bin"], cwd=self.root,
                              capture_output=True, text=True, env=dict(os.environ, MAKEFLAGS=""))
        self.assertEqual(done.returncode, expect, done.stderr)
        self.assertNotIn("warning", done.stderr)
        self.calls = calls.read_text().splitlines() if calls.exists() else []
        return sorted(call.split()[0] for call in self.calls)

    def test_everything_once(self):
        self.assertEqual(self.make(), sorted(
            ["import_furniture", "build_cache", "split_unpaired", "materialize", "table", "report"]
            + 3 * ["pretrain", "finetune", "ucpr"] + 4 * ["cpac"]))
        self.assertEqual(self.make(), [])

    def test_configs_exist_and_fields_are_given_once(self):
        self.make()
        for call in self.calls:
            words = call.split()[1:]
            fields = [w.split("=")[0] for w in words if "=" in w]
            self.assertEqual(len(fields), len(set(fields)), call)
            for i, word in enumerate(words):
                if word == "--config":
                    self.assertTrue((self.root / words[i + 1]).exists(), call)
        labels = sorted(w for c in self.calls for w in c.split() if w.startswith("label="))
        self.assertEqual(labels, sorted(3 * ["label=nepa", "label=mae"] + 2 * ["label=untrained"]
                                        + ["label=scratch", "label=nn_copy"]))

    def test_a_deleted_product_is_made_again_with_what_hangs_on_it(self):
        self.make()
        for deleted, expected in (
                ("report.html", ["report"]),
                ("table.csv", ["report", "table"]),
                ("results/ucpr_mae.json", ["report", "table", "ucpr"]),
                ("results/cpac_nn_copy.json", ["cpac", "report", "table"]),
                ("runs/mae/last.safetensors", DOWNSTREAM_OF_CHECKPOINT),
                ("records/pretrain_nepa.json", DOWNSTREAM_OF_CHECKPOINT),
                ("runs/untrained/last.safetensors", [p for p in DOWNSTREAM_OF_CHECKPOINT if p != "finetune"])):
            with self.subTest(deleted):
                (self.root / OUT / deleted).unlink()
                self.assertEqual(self.make(), expected)
                self.assertEqual(self.make(), [])

    def test_a_changed_config_concerns_its_step_and_the_later_ones(self):
        self.make()
        os.utime(self.root / "tools/pipeline/demo/pretrain_nepa.textproto")
        self.assertEqual(self.make(), DOWNSTREAM_OF_CHECKPOINT)

    def test_finished_steps_start_afresh_and_interrupted_ones_go_on(self):
        self.make()
        run = self.root / OUT / "runs/nepa"
        (run / "ckpt_ep001.safetensors").touch()
        os.utime(self.root / "tools/pipeline/demo/pretrain.textproto")
        self.make()
        self.assertFalse((run / "ckpt_ep001.safetensors").exists())

        (run / "ckpt_ep001.safetensors").touch()
        (self.root / OUT / "records/pretrain_nepa.json").unlink()
        self.make()
        self.assertTrue((run / "ckpt_ep001.safetensors").exists())

    def test_a_failed_step_leaves_no_product(self):
        (self.root / "fail_ucpr").touch()
        self.make(expect=2)
        self.assertFalse((self.root / OUT / "results/ucpr_nepa.json").exists())
        self.assertFalse((self.root / OUT / "table.md").exists())


if __name__ == "__main__":
    unittest.main()
