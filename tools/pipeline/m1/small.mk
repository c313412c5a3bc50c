# Furniture by the demo's rules, and one simulated scan of each model.
furniture := out/m1_small/furniture

$(furniture)/cache/manifest.binpb: $(HERE)/small/import_furniture.textproto $(HERE)/small/build_cache.textproto
	@$(MAKE) --no-print-directory -f tools/pipeline/demo.mk OUT=$(furniture) CONFIG=$(HERE)/small $@

out/m1_small/scans/manifest.binpb: $(furniture)/cache/manifest.binpb $(HERE)/small/simulate_scans.textproto
	@echo "== simulated scans"
	@rm -rf $(@D)
	@$(BIN)/data/simulate_scans --config $(HERE)/small/simulate_scans.textproto \
	  cache_root=$(furniture)/cache out_root=$(@D)
