#include "eval/report.h"

#include <cmath>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/json_lines.h"
#include "base/result_writer.h"
#include "data/manifest.h"
#include "data/npz.h"
#include "eval/result_files_for_test.h"
#include "eval/shape_pictures.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

namespace fs = std::filesystem;

/// "" for a page whose elements nest and close, whose attributes are quoted, whose ids differ and which
/// fetches nothing; else what is wrong.
std::string WhatIsWrong(const std::string& html) {
  const std::set<std::string> voids = {"meta", "img", "br", "line", "path", "polygon"};
  std::vector<std::string> open;
  std::set<std::string> ids;
  for (size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at)) {
    size_t end = at + 1;
    char quote = 0;
    for (; end < html.size() && (quote != 0 || html[end] != '>'); ++end) {
      if (quote == 0 && html[end] == '"') {
        quote = '"';
      } else if (html[end] == quote) {
        quote = 0;
      } else if (quote == 0 && html[end] == '<') {
        return "a < inside a tag at " + html.substr(at, 60);
      }
    }
    if (end >= html.size()) return "an unclosed tag at " + html.substr(at, 60);
    const std::string tag = html.substr(at + 1, end - at - 1);
    at = end + 1;
    if (absl::StartsWith(tag, "!DOCTYPE")) continue;
    const bool closing = tag.front() == '/';
    std::string name = tag.substr(closing ? 1 : 0);
    name = name.substr(0, name.find_first_of(" /"));
    if (closing) {
      if (open.empty() || open.back() != name) return "</" + name + "> closes nothing";
      open.pop_back();
      continue;
    }
    for (const char* fetching : {"src=\"http", "href=\"", "src=\"/", "url("})
      if (absl::StrContains(tag, fetching)) return "something is fetched: " + tag.substr(0, 60);
    if (name == "script") return "a script";
    if (const size_t id = tag.find("id=\""); id != std::string::npos) {
      const std::string value = tag.substr(id + 4, tag.find('"', id + 4) - id - 4);
      if (!ids.insert(value).second) return "two elements are called " + value;
    }
    bool quoted = false;
    for (size_t i = 0; i + 1 < tag.size(); ++i) {
      if (tag[i] == '"') quoted = !quoted;
      if (!quoted && tag[i] == '=' && tag[i + 1] != '"') return "an attribute without quotes: " + tag;
    }
    if (name == "style") {
      at = html.find("</style>", at);
      if (absl::StrContains(html.substr(end, at - end), "url(")) return "the style fetches something";
    }
    const bool self_closed = tag.back() == '/' || voids.count(name) > 0;
    if (!self_closed) open.push_back(name);
  }
  return open.empty() ? "" : "<" + open.back() + "> stays open";
}

TEST(WhatIsWrong, FindsWhatIsWrong) {
  EXPECT_EQ(WhatIsWrong("<!DOCTYPE html>\n<p class=\"a > b\">1<br>2</p>"), "");
  for (const char* bad : {"<p>", "<p></div>", "<p class=a></p>", "<script></script>",
                          "<p id=\"a\"></p><p id=\"a\"></p>", "<img src=\"http://x\">", "<p <b></p>", "<p"})
    EXPECT_NE(WhatIsWrong(bad), "") << bad;
}

int Count(const std::string& text, const std::string& what) {
  int count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

/// A cache of three shapes, one of which was made from a mesh that is still there, and a view of it.
class ReportTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = absl::StrCat(testing::TempDir(), "/report_",
                           testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    ASSERT_TRUE(MakeDirectories(folder_).ok());
    ASSERT_TRUE(
        WriteFileAtomically(folder_ + "/cube.obj",
                            "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\nf 1 2 4\nf 1 3 4\nf 2 3 4\n")
            .ok());
    CacheManifest manifest;
    for (const char* id : {"one", "two", "three"}) AddShape(id, &manifest);
    ASSERT_TRUE(WriteManifest(Cache(), manifest).ok());
  }

  std::string Cache() const { return folder_ + "/cache"; }

  void AddShape(const std::string& id, CacheManifest* manifest) {
    std::vector<float> points, normals;
    for (int i = 0; i < 90; ++i) {
      points.push_back(static_cast<float>(std::sin(i * 1.7 + id.size())));
      normals.push_back(i % 3 == 0 ? 1.0f : 0.0f);
    }
    const NamedArray arrays[] = {{"pc_xyz", MakeArray(points, {30, 3})},
                                 {"pc_n", MakeArray(normals, {30, 3})}};
    const std::string path = absl::StrCat(Cache(), "/test/thing/", id, ".npz");
    ASSERT_TRUE(MakeDirectories(Cache() + "/test/thing").ok());
    ASSERT_TRUE(WriteNpz(path, arrays).ok());
    ShapeEntry& entry = *manifest->add_shapes();
    entry.set_split("test");
    entry.set_class_name("thing");
    entry.set_id(id);
    entry.set_file_size(fs::file_size(path));
    entry.set_source(id == "one" ? folder_ + "/cube.obj" : folder_ + "/gone.obj");
    const auto npz = NpzReader::Open(path);
    ASSERT_TRUE(npz.ok());
    SetLayout(manifest, &entry, LayoutOf(*npz));
  }

  template <class T>
  std::string Write(const std::string& name, const T& message) {
    std::string path = folder_ + "/" + name;
    EXPECT_TRUE(WriteResult(path, message).ok());
    return path;
  }

  UcprResult Retrieval(const std::string& label) {
    UcprResult result = std::get<UcprResult>(MadeUpUcpr(label, 0.5).result);
    RetrievalExample& example = *result.add_examples();
    example.set_query_key("thing/one");
    for (const char* key : {"thing/two", "thing/one", "thing/three"}) example.add_gallery_keys(key);
    example.set_rank(2);
    result.mutable_provenance()->set_config("ckpt: \"<runs>/last\"");
    result.mutable_provenance()->set_git_commit("0123456789ab");
    return result;
  }

  CpacResult Completion(const std::string& label, bool with_model) {
    CpacResult result = std::get<CpacResult>(MadeUpCpac(label, 0.03, 0.05).result);
    FieldSlice& slice = *result.add_slices();
    slice.set_key("thing/two");
    slice.set_resolution(4);
    for (int i = 0; i < 16; ++i) {
      slice.add_truth(0.1f * static_cast<float>(i));
      slice.add_baseline(0.2f);
      if (with_model) slice.add_predicted(0.1f);
    }
    return result;
  }

  ReportConfig Everything() {
    ReportConfig config;
    config.set_title("Forms & <things>");
    config.add_results(Write("u.json", Retrieval("nepa <b>")));
    config.add_results(Write("c.json", Completion("nepa <b>", true)));
    config.add_results(Write("n.binpb", Completion("mae", true)));
    config.add_results(
        Write("f.textproto", std::get<FinetuneResult>(MadeUpFinetune("scratch", 0.5, 0, 0).result)));
    BuildCacheResult cache;
    cache.mutable_provenance()->set_binary("build_cache");
    cache.mutable_provenance()->set_wall_seconds(75);
    cache.mutable_provenance()->set_peak_memory_bytes(3 << 20);
    cache.set_built(3);
    config.add_stage_records(Write("b.json", cache));
    fs::remove_all(folder_ + "/run <x>");
    fs::create_directories(folder_ + "/run <x>");
    for (int step = 1; step <= 20; ++step) {
      EXPECT_TRUE(AppendJsonLine(folder_ + "/run <x>/log.jsonl", {{"step", int64_t{step}},
                                                                  {"loss", 1.0 / step},
                                                                  {"loss_nepa", 1.0 / step},
                                                                  {"loss_aux", 0.5},
                                                                  {"val_acc", 0.1 * step}})
                      .ok());
    }
    config.add_run_dirs(folder_ + "/run <x>");
    Catalogue catalogue;
    for (const char* id : {"one", "unseen"}) {
      CatalogueModel& model = *catalogue.add_models();
      model.set_class_name("thing");
      model.set_id(id);
      model.set_name(absl::StrCat("Chair \"", id, "\""));
      model.set_author("A. Author");
      model.set_licence("CC BY");
    }
    config.set_catalogue(Write("catalogue.json", catalogue));
    config.set_cache_root(Cache());
    config.set_split("test");
    config.set_output(folder_ + "/report.html");
    return config;
  }

  std::string folder_;
};

TEST_F(ReportTest, HasEveryPart) {
  const ReportConfig config = Everything();
  const auto result = MakeReport(config);
  ASSERT_TRUE(result.ok()) << result.status();
  const std::string html = *ReadFile(config.output());
  EXPECT_EQ(WhatIsWrong(html), "");
  EXPECT_EQ(result->bytes(), static_cast<int64_t>(html.size()));
  for (const char* id : {"results", "retrieval", "fields", "curves", "pipeline", "credits"})
    EXPECT_EQ(Count(html, absl::StrCat("<section id=\"", id, "\">")), 1) << id;
  // One query with three answers; true, copied and two predictions of one slice, which has a colour scale.
  EXPECT_EQ(result->pictures(), 4 + 4);
  EXPECT_EQ(Count(html, "<img src=\"data:image/png;base64,"), 4 + 4 + 1);
  EXPECT_EQ(Count(html, "<figure class=\"shape right\">"), 1);
  EXPECT_TRUE(absl::StrContains(html, "itself at rank 2"));
  EXPECT_EQ(Count(html, "<svg"), 2) << "losses and accuracies";
  EXPECT_TRUE(absl::StrContains(html, ">loss_aux<"));
  EXPECT_FALSE(absl::StrContains(html, ">loss_nepa<")) << "it is the loss itself";
  EXPECT_TRUE(absl::StrContains(html, "3 built"));
  EXPECT_TRUE(absl::StrContains(html, "1 min 15 s"));
  EXPECT_TRUE(absl::StrContains(html, "3.0 MiB"));
  EXPECT_TRUE(absl::StrContains(html, "Chair &quot;one&quot;, by A. Author — CC BY"));
  EXPECT_FALSE(absl::StrContains(html, "unseen")) << "only pictured models are credited";
  EXPECT_TRUE(absl::StrContains(html, "0123456789ab"));
  EXPECT_EQ(Count(html, "<details>"), 1);
  EXPECT_TRUE(absl::StrContains(html, "<th scope=\"row\">chance</th>"));
  EXPECT_TRUE(absl::StrContains(html, "<td class=\"number best\">0.0300"));
}

TEST_F(ReportTest, NothingFromFilesIsMarkup) {
  const ReportConfig config = Everything();
  ASSERT_TRUE(MakeReport(config).ok());
  const std::string html = *ReadFile(config.output());
  EXPECT_FALSE(absl::StrContains(html, "<b>"));
  EXPECT_FALSE(absl::StrContains(html, "<things>"));
  EXPECT_FALSE(absl::StrContains(html, "<x>"));
  EXPECT_FALSE(absl::StrContains(html, "<runs>"));
  EXPECT_TRUE(absl::StrContains(html, "<h1>Forms &amp; &lt;things&gt;</h1>"));
  EXPECT_TRUE(absl::StrContains(html, "nepa &lt;b&gt;"));
}

TEST_F(ReportTest, SimulatedScansAreCalledSo) {
  ReportConfig config;
  UcprResult result = Retrieval("nepa");
  Setting* setting = result.mutable_record()->add_settings();
  setting->set_name("simulated");
  setting->set_json("true");
  config.add_results(Write("u.json", result));
  config.set_output(folder_ + "/report.html");
  ASSERT_TRUE(MakeReport(config).ok());
  EXPECT_EQ(Count(*ReadFile(config.output()), "On simulated scans"), 1);
}

TEST_F(ReportTest, ResultsAloneAreEnough) {
  ReportConfig config;
  config.add_results(Write("u.json", Retrieval("nepa")));
  config.add_results(Write("n.json", Completion("nn", false)));
  config.set_output(folder_ + "/report.html");
  const auto result = MakeReport(config);
  ASSERT_TRUE(result.ok()) << result.status();
  const std::string html = *ReadFile(config.output());
  EXPECT_EQ(WhatIsWrong(html), "");
  EXPECT_EQ(result->pictures(), 2) << "a slice needs no cache: true and copied";
  EXPECT_FALSE(absl::StrContains(html, "id=\"retrieval\""));
  EXPECT_FALSE(absl::StrContains(html, "id=\"curves\""));
}

// A mesh and its three-sided cloud look different: which was drawn shows in the bytes.
TEST_F(ReportTest, PicturesComeFromTheMeshAlsoThroughAView) {
  const std::string view = folder_ + "/view";
  for (const bool link : {true, false}) {
    fs::remove_all(view);
    fs::create_directories(view + "/eval/thing");
    const std::string from = Cache() + "/test/thing/one.npz", to = view + "/eval/thing/one.npz";
    if (link) {
      fs::create_symlink(from, to);
    } else {
      fs::copy_file(from, to);
      ASSERT_TRUE(WriteFileAtomically(view + "/_meta/split_source.json",
                                      absl::StrCat("{\"src_cache_root\": \"", Cache(), "\"}"))
                      .ok());
    }
    CacheManifest manifest;
    ShapeEntry& entry = *manifest.add_shapes();
    entry.set_split("eval");
    entry.set_class_name("thing");
    entry.set_id("one");
    entry.set_file_size(fs::file_size(to));
    entry.set_source("test/thing/one.npz");
    const auto npz = NpzReader::Open(to);
    ASSERT_TRUE(npz.ok());
    SetLayout(&manifest, &entry, LayoutOf(*npz));
    ASSERT_TRUE(WriteManifest(view, manifest).ok());
    auto pictures = ShapePictures::Create(view, "eval", 1);
    ASSERT_TRUE(pictures.ok()) << pictures.status();
    EXPECT_EQ(pictures->MeshPath("thing/one"), folder_ + "/cube.obj") << (link ? "link" : "copy");
    const auto surface = pictures->Picture("thing/one", ShapePictures::Style::kSurface);
    const auto points = pictures->Picture("thing/one", ShapePictures::Style::kPoints);
    ASSERT_TRUE(surface.ok() && points.ok());
    EXPECT_NE(*surface, *points);
    EXPECT_EQ(pictures->without_mesh(), 0);
  }
  auto pictures = ShapePictures::Create(Cache(), "test", 1);
  ASSERT_TRUE(pictures.ok());
  const auto surface = pictures->Picture("thing/two", ShapePictures::Style::kSurface);
  ASSERT_TRUE(surface.ok()) << surface.status();
  EXPECT_EQ(*surface, *pictures->Picture("thing/two", ShapePictures::Style::kPoints)) << "its mesh is gone";
  EXPECT_EQ(pictures->without_mesh(), 1);
}

TEST_F(ReportTest, SaysWhatIsMissing) {
  ReportConfig config = Everything();
  config.set_split("eval");
  absl::Status status = MakeReport(config).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(absl::StrContains(status.message(), "test")) << "names the splits there are: " << status;

  config = Everything();
  UcprResult other = Retrieval("other");
  other.mutable_examples(0)->set_query_key("thing/<nobody>");
  config.add_results(Write("other.json", other));
  status = MakeReport(config).status();
  EXPECT_TRUE(absl::StrContains(status.message(), "thing/<nobody>")) << status;

  config = Everything();
  CpacResult broken = Completion("broken", true);
  broken.mutable_slices(0)->set_resolution(1 << 20);
  config.add_results(Write("broken.json", broken));
  status = MakeReport(config).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(status.message(), "broken.json")) << status;

  config = Everything();
  config.add_run_dirs(folder_ + "/no run");
  EXPECT_TRUE(absl::StrContains(MakeReport(config).status().message(), "no run"));
}

}  // namespace
}  // namespace manyform
