// The importer on a library as Debian ships it (package sweethome3d-furniture).
#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <map>
#include <sstream>
#include <string>

#include "base/files.h"
#include "base/zip_archive.h"
#include "gtest/gtest.h"
#include "tools/demo/import_furniture.h"
#include "tools/demo/properties.h"

namespace manyform {
namespace {

constexpr char kLibraries[] = "/usr/share/sweethome3d/furniture";

std::array<double, 3> Extents(const std::string& obj) {
  std::array<double, 3> low, high;
  low.fill(INFINITY);
  high.fill(-INFINITY);
  std::istringstream lines(obj);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string word;
    words >> word;
    for (int axis = 0; word == "v" && axis < 3; ++axis) {
      double value = NAN;
      words >> value;
      low[axis] = std::min(low[axis], value);
      high[axis] = std::max(high[axis], value);
    }
  }
  return {high[0] - low[0], high[1] - low[1], high[2] - low[2]};
}

TEST(DebianLibraries, EveryModelIsImportedAndStandsAsItsCatalogueSays) {
  const std::string library = JoinPath(kLibraries, "KatorLegaz.sh3f");
  ASSERT_TRUE(FileExists(library)) << "apt-get install sweethome3d-furniture";
  const std::string folder = testing::TempDir() + "/debian_libraries";
  std::filesystem::remove_all(folder);
  ASSERT_TRUE(MakeDirectories(folder).ok());
  std::filesystem::create_symlink(library, folder + "/KatorLegaz.sh3f");

  ImportFurnitureConfig config;
  config.set_library_root(folder);
  config.set_out_root(folder + "/out");
  const auto result = ImportFurniture(config);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->skipped_size(), 0);

  const auto catalogue =
      ParseProperties(ZipArchive::Open(library)->Read("PluginFurnitureCatalog.properties", 1 << 20).value())
          .value();
  EXPECT_EQ(catalogue.at("description"), std::to_string(result->models()) + " models created by Kator Legaz");
  const auto written = Glob(config.out_root(), "*/*/models/model_normalized.obj").value();
  EXPECT_EQ(written.size(), result->models());

  // Width, height and depth in the catalogue are those of the upright model, in another unit.
  int rotated = 0;
  for (const auto& [key, rotation] : catalogue) {
    if (key.rfind("modelRotation#", 0) != 0) continue;
    ++rotated;
    const std::string number = key.substr(key.find('#'));
    const std::string model = std::filesystem::path(catalogue.at("model" + number)).stem();
    const auto path = std::find_if(written.begin(), written.end(), [&](const std::string& w) {
      return w.find("katorlegaz_" + model + "/") != std::string::npos;
    });
    ASSERT_NE(path, written.end()) << model;
    const std::array<double, 3> extents = Extents(ReadFile(*path).value());
    const double width = std::stod(catalogue.at("width" + number));
    EXPECT_NEAR(extents[1] / extents[0], std::stod(catalogue.at("height" + number)) / width, 0.05) << model;
    EXPECT_NEAR(extents[2] / extents[0], std::stod(catalogue.at("depth" + number)) / width, 0.05) << model;
  }
  EXPECT_GT(rotated, 0);
}

}  // namespace
}  // namespace manyform
