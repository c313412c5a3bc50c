# The caches as published; where the collections come from is in docs/data.md.
SHAPENET := data/ShapeNetCore.v2
SCANOBJECTNN := data/ScanObjectNN/h5_files/main_split

data/shapenet_cache_v0/manifest.binpb:
	@$(BIN)/data/build_cache shapenet_root=$(SHAPENET) out_root=$(@D)

data/scanobjectnn_cache_v2/manifest.binpb:
	@$(BIN)/data/build_scan_cache scan_root=$(SCANOBJECTNN) out_root=$(@D) pt_pool=4000 ray_pool=256
