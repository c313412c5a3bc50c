#include "data/testing/small_collection.h"

#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/provenance.h"
#include "data/npz.h"
#include "gtest/gtest.h"

namespace manyform {

namespace fs = std::filesystem;

std::string NewTestFolder(absl::string_view name) {
  std::string folder = absl::StrCat(testing::TempDir(), "/folder_", name);
  fs::remove_all(folder);
  fs::create_directories(folder);
  return folder;
}

std::map<std::string, std::string> FolderContent(const std::string& folder) {
  std::map<std::string, std::string> content;
  for (const auto& file : fs::recursive_directory_iterator(folder)) {
    if (file.is_regular_file()) {
      content[file.path().lexically_relative(folder)] = *ReadFile(file.path());
    }
  }
  return content;
}

BuildCacheConfig SmallConfig() {
  BuildCacheConfig config;
  config.set_shapenet_root("meshes");
  config.set_pt_pool(24);
  FillDefaults(&config);
  return config;
}

Collection SmallCollection(const std::string& out_root, const BuildCacheConfig& config) {
  Collection collection;
  collection.program = "build_small";
  collection.out_root = out_root;
  collection.splits = {"train", "test"};
  collection.config = &config;
  collection.unfingerprinted = {"split"};
  collection.num_threads = 2;
  collection.bytes_per_shape = 1000;
  collection.notes = {{"_splits/all.txt", "twenty\n"}};
  for (int k = 0; k < 20; ++k) {
    ShapeEntry& shape = collection.shapes.emplace_back();
    shape.set_split(k % 5 == 0 ? "test" : "train");
    shape.set_class_name(absl::StrCat("class ", k % 3));
    shape.set_id(absl::StrCat("s", k));
    shape.set_source(absl::StrCat("meshes/", k));
    shape.set_seed(100 + k);
  }
  collection.make = [](ShapeEntry* shape) -> absl::StatusOr<std::vector<NamedArray>> {
    const std::string& id = shape->id();
    if (id == "s4" || id == "s11") return absl::DataLossError(shape->source() + ": no shape");
    shape->mutable_mesh()->set_vertices(shape->seed());
    const int64_t n = shape->class_name().back() - '0' + 3;
    return std::vector<NamedArray>{
        {"x", MakeArray(std::vector<float>(n, static_cast<float>(shape->seed())), {n})}};
  };
  return collection;
}

}  // namespace manyform
