# The demonstration, from furniture models to a report: make -f tools/pipeline/demo.mk
# in the root folder, once the programs are built (./demo does both).
#
# A product depends on the products and configs it is made from, so deleting one makes it and what hangs on it
# anew, nothing else. It does not depend on the programs: Bazel gives a program it built again or took from its
# cache a new time, changed or not. After a change to a program delete what it made.
#
# A step's record is written last. A step that was interrupted has none and goes on where it was; one that had
# finished, but whose config or input changed since, starts afresh.

OUT := out/demo
BIN := .bazel/bin
CONFIG := tools/pipeline/demo

MAKEFLAGS += --no-builtin-rules --warn-undefined-variables
.DELETE_ON_ERROR:
.PHONY: all

PRETRAINED := untrained nepa mae
FINETUNED := scratch nepa mae

# An interrupted run goes on from its checkpoint; the record beside it says whether the run is whole.
.PRECIOUS: $(PRETRAINED:%=$(OUT)/runs/%/last.safetensors)

RECORDS := $(OUT)/records
RESULTS := $(OUT)/results
models := $(OUT)/models/catalogue.json
cache := $(OUT)/cache/manifest.binpb
split := $(OUT)/split.json
view := $(OUT)/view/manifest.binpb
results := $(FINETUNED:%=$(RESULTS)/finetune_%.json) $(PRETRAINED:%=$(RESULTS)/ucpr_%.json) \
  $(PRETRAINED:%=$(RESULTS)/cpac_%.json) $(RESULTS)/cpac_nn_copy.json

stage_records := $(RECORDS)/build_cache.json $(RECORDS)/split_unpaired.json $(RECORDS)/materialize.json \
  $(PRETRAINED:%=$(RECORDS)/pretrain_%.json)

tables := $(OUT)/table.txt $(OUT)/table.md $(OUT)/table.csv

# Every product, by name: what make takes for intermediate it would not make again.
all: $(models) $(RECORDS)/import_furniture.json $(cache) $(split) $(view) $(stage_records) \
  $(PRETRAINED:%=$(OUT)/runs/%/last.safetensors) $(results) \
  $(tables) $(RECORDS)/table.json $(OUT)/report.html

empty :=
comma := ,
space := $(empty) $(empty)
list = $(subst $(space),$(comma),$(strip $1))

# $(call begin,STEP,RECORD,PRODUCT...): says what starts, and removes what a finished run made.
begin = @echo "== $1"; if [ -e "$2" ]; then rm -rf $2 $3; fi
# $(call run,PROGRAM,LOG NAME): the head of a command line.
run = $(BIN)/$1 --log $(OUT)/logs/$2.log

$(RECORDS) $(RESULTS) $(OUT)/logs:
	@mkdir -p $@

# One recipe makes both files of "a b &:"; touch, because a resumed step may have found one of them whole.

$(models) $(RECORDS)/import_furniture.json &: $(CONFIG)/import_furniture.textproto | $(RECORDS) $(OUT)/logs
	$(call begin,furniture models,$(RECORDS)/import_furniture.json,$(OUT)/models)
	@$(call run,tools/demo/import_furniture,import_furniture) --config $< \
	  out_root=$(OUT)/models record=$(RECORDS)/import_furniture.json
	@touch $(models) $(RECORDS)/import_furniture.json

$(cache) $(RECORDS)/build_cache.json &: $(models) $(CONFIG)/build_cache.textproto | $(RECORDS) $(OUT)/logs
	$(call begin,shape cache,$(RECORDS)/build_cache.json,$(OUT)/cache)
	@$(call run,data/build_cache,build_cache) --config $(CONFIG)/build_cache.textproto \
	  shapenet_root=$(OUT)/models out_root=$(OUT)/cache record=$(RECORDS)/build_cache.json
	@touch $(cache) $(RECORDS)/build_cache.json

$(split) $(RECORDS)/split_unpaired.json &: $(cache) $(CONFIG)/split_unpaired.textproto | $(RECORDS) $(OUT)/logs
	$(call begin,unpaired split,$(RECORDS)/split_unpaired.json,$(split))
	@$(call run,data/split_unpaired,split_unpaired) --config $(CONFIG)/split_unpaired.textproto \
	  cache_root=$(OUT)/cache output=$(split) record=$(RECORDS)/split_unpaired.json
	@touch $(split) $(RECORDS)/split_unpaired.json

$(view) $(RECORDS)/materialize.json &: $(split) | $(RECORDS) $(OUT)/logs
	$(call begin,view of the split,$(RECORDS)/materialize.json,$(OUT)/view)
	@$(call run,data/materialize,materialize) \
	  src_cache_root=$(OUT)/cache split_json=$(split) out_root=$(OUT)/view record=$(RECORDS)/materialize.json
	@touch $(view) $(RECORDS)/materialize.json

$(OUT)/runs/%/last.safetensors $(RECORDS)/pretrain_%.json: \
    $(view) $(CONFIG)/pretrain.textproto $(CONFIG)/mix.textproto $(CONFIG)/pretrain_%.textproto | $(RECORDS) $(OUT)/logs
	$(call begin,pretraining: $*,$(RECORDS)/pretrain_$*.json,$(OUT)/runs/$*)
	@$(call run,train/pretrain,pretrain_$*) \
	  --config $(CONFIG)/pretrain.textproto --config $(CONFIG)/pretrain_$*.textproto \
	  mix_config=$(CONFIG)/mix.textproto save_dir=$(OUT)/runs/$* record=$(RECORDS)/pretrain_$*.json
	@touch $(OUT)/runs/$*/last.safetensors $(RECORDS)/pretrain_$*.json

$(RESULTS)/finetune_scratch.json: $(cache) $(CONFIG)/finetune.textproto $(CONFIG)/finetune_scratch.textproto \
    | $(RESULTS) $(OUT)/logs
	$(call begin,classification: scratch,$@,$(OUT)/runs/finetune_scratch)
	@$(call run,train/finetune,finetune_scratch) \
	  --config $(CONFIG)/finetune.textproto --config $(CONFIG)/finetune_scratch.textproto \
	  cache_root=$(OUT)/cache save_dir=$(OUT)/runs/finetune_scratch label=scratch output=$@

$(RESULTS)/finetune_%.json: $(OUT)/runs/%/last.safetensors $(RECORDS)/pretrain_%.json $(cache) $(CONFIG)/finetune.textproto \
    | $(RESULTS) $(OUT)/logs
	$(call begin,classification: $*,$@,$(OUT)/runs/finetune_$*)
	@$(call run,train/finetune,finetune_$*) --config $(CONFIG)/finetune.textproto \
	  cache_root=$(OUT)/cache ckpt=$< save_dir=$(OUT)/runs/finetune_$* label=$* output=$@

$(RESULTS)/ucpr_%.json: $(OUT)/runs/%/last.safetensors $(RECORDS)/pretrain_%.json $(view) $(CONFIG)/ucpr.textproto | $(RESULTS) $(OUT)/logs
	$(call begin,retrieval: $*,$@,)
	@$(call run,eval/ucpr,ucpr_$*) --config $(CONFIG)/ucpr.textproto \
	  cache_root=$(OUT)/view ckpt=$< label=$* output=$@

$(RESULTS)/cpac_nn_copy.json: $(view) $(CONFIG)/cpac.textproto | $(RESULTS) $(OUT)/logs
	$(call begin,completion: nn_copy,$@,)
	@$(call run,eval/cpac,cpac_nn_copy) --config $(CONFIG)/cpac.textproto \
	  cache_root=$(OUT)/view baseline=nn_copy baseline_only=true label=nn_copy output=$@

$(RESULTS)/cpac_%.json: $(OUT)/runs/%/last.safetensors $(RECORDS)/pretrain_%.json $(view) $(CONFIG)/cpac.textproto | $(RESULTS) $(OUT)/logs
	$(call begin,completion: $*,$@,)
	@$(call run,eval/cpac,cpac_$*) --config $(CONFIG)/cpac.textproto \
	  cache_root=$(OUT)/view ckpt=$< label=$* output=$@

$(tables) $(RECORDS)/table.json &: $(results) | $(RECORDS) $(OUT)/logs
	$(call begin,table,$(RECORDS)/table.json,$(tables))
	@$(call run,eval/table,table) inputs=$(call list,$(results)) \
	  markdown=$(OUT)/table.md csv=$(OUT)/table.csv record=$(RECORDS)/table.json > $(OUT)/table.txt
	@touch $(tables) $(RECORDS)/table.json

run_dirs := $(OUT)/runs/nepa $(OUT)/runs/mae $(FINETUNED:%=$(OUT)/runs/finetune_%)

$(OUT)/report.html: $(OUT)/table.md $(results) $(stage_records) $(models) $(CONFIG)/report.textproto | $(OUT)/logs
	$(call begin,report,$@,)
	@$(call run,eval/report,report) --config $(CONFIG)/report.textproto \
	  run_dirs=$(call list,$(run_dirs)) results=$(call list,$(results)) stage_records=$(call list,$(stage_records)) \
	  cache_root=$(OUT)/view catalogue=$(models) output=$@
