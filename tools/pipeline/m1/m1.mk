# The M1 table, 4 pretrainings and 75 fine-tunings: make -j 2 -k -f tools/pipeline/m1/m1.mk PROFILE=small
# in the root folder, once the programs are built (bazel build //data/... //train/... //eval/... //tools/...).
# PROFILE=paper is the published experiment.
#
# m1.textproto declares the experiment, $(PROFILE).textproto where the data is and the sizes, $(PROFILE).mk how
# the data is made. Everything comes to lie in $(OUT): jobs/<run>.textproto is the config of a run, runs/<run>
# its folder, logs/<run>.log what it said, table.{txt,md,csv} and board.html the results.
#
#   make ... table       the table of what is done so far
#   make ... status      the board of all cells; status WATCH=5 shows it until all is done
#   make ... num_threads=8 OPTIONS="device=cuda"     for all trainings
#   tools/pipeline/slurm/submit_table.sh             the same on a cluster
#
# A run is done when its record is there, and is not run again unless its own config, what it starts from or its
# data is newer. Whatever ends a run or make, the same command goes on: runs from their last checkpoint, but not
# under other settings; then remove the run's folder. -j says how many run at once, each with num_threads (1); -k
# lets the others go on when one fails.

PROFILE := small
OUT := out/m1_$(PROFILE)
BIN := .bazel/bin
HERE := tools/pipeline/m1
OPTIONS :=
num_threads := 1
WATCH := 0

MAKEFLAGS += --no-builtin-rules --warn-undefined-variables
.DELETE_ON_ERROR:
.PHONY: all table status data jobs task

empty :=
comma := ,
space := $(empty) $(empty)
list = $(subst $(space),$(comma),$(strip $1))
record = $(1:%=$(OUT)/runs/%/record.binpb)

declared := $(HERE)/m1.textproto $(HERE)/$(PROFILE).textproto

all: $(OUT)/table.txt $(OUT)/board.html

# What there is to run; make reads it again when it has made it.
PRETRAININGS :=
CELLS :=
CACHES :=
include $(OUT)/jobs.mk
$(OUT)/jobs.mk: $(declared)
	@$(BIN)/tools/pipeline/expand experiment=$(call list,$(declared)) out_root=$(OUT)

include $(HERE)/$(PROFILE).mk

# A record that is there is of a run that was done under an older config or from older inputs. The process ends
# when make does, so that no two work on a run.
define run
@echo "== $*"
@mkdir -p $(OUT)/logs && if [ -e $@ ]; then rm -rf $(@D); fi
@exec setpriv --pdeathsig TERM $(BIN)/train/$1 --log $(OUT)/logs/$*.log --config $(OUT)/jobs/$*.textproto \
  num_threads=$(num_threads) $(OPTIONS)
endef

$(call record,$(PRETRAININGS)): $(OUT)/runs/%/record.binpb: $(OUT)/jobs/%.textproto
	$(call run,pretrain)

$(call record,$(CELLS)): $(OUT)/runs/%/record.binpb: $(OUT)/jobs/%.textproto
	$(call run,finetune)

make_table = $(BIN)/eval/table experiment=$(OUT)/experiment.textproto inputs=$(call list,$1)
make_board = $(BIN)/eval/status experiment=$(OUT)/experiment.textproto out_root=$(OUT) output=$(OUT)/board.html

$(OUT)/table.txt: $(call record,$(CELLS))
	@$(call make_table,$^) markdown=$(OUT)/table.md csv=$(OUT)/table.csv record=$(OUT)/table.json > $@

$(OUT)/board.html: $(OUT)/table.txt
	@$(make_board) > $(OUT)/board.txt

table:
	@$(call make_table,$(wildcard $(call record,$(CELLS))))

status:
	@$(make_board) watch=$(WATCH)

data: $(CACHES:%=%/manifest.binpb)

# What there is to run, a line each: number, name, number of the run it starts from.
jobs:
	@cat $(OUT)/jobs.txt

# One of them by its number: a Slurm array's task.
ifdef SLURM_ARRAY_TASK_ID
task: $(call record,$(word $(shell expr $(SLURM_ARRAY_TASK_ID) + 1),$(PRETRAININGS) $(CELLS)))
endif
