// Sections made of pictures: loss curves, retrieval, fields.
#include <algorithm>
#include <cmath>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/files.h"
#include "base/html.h"
#include "base/json_lines.h"
#include "base/line_chart.h"
#include "base/png_writer.h"
#include "base/status_macros.h"
#include "eval/record.h"
#include "eval/report_sections.h"
#include "geometry/render.h"

namespace manyform {
namespace {

// Two charts stand side by side on the page: drawn at the size they are shown in.
constexpr int kChartWidth = 520, kChartHeight = 240;

double NumberIn(const JsonValue& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) return static_cast<double>(*integer);
  if (const auto* real = std::get_if<double>(&value)) return *real;
  return NAN;  // "nan", "inf": a gap
}

/// Every key that `wanted` accepts as a line over the step (or else the epoch, or else the row).
std::vector<ChartSeries> SeriesOf(const std::vector<JsonRow>& rows, bool (*wanted)(const std::string&)) {
  std::vector<ChartSeries> series;
  for (size_t r = 0; r < rows.size(); ++r) {
    double x = static_cast<double>(r + 1);
    for (const char* axis : {"epoch", "step"}) {
      for (const auto& [key, value] : rows[r])
        if (key == axis) x = NumberIn(value);
    }
    for (const auto& [key, value] : rows[r]) {
      if (!wanted(key)) continue;
      auto found = std::find_if(series.begin(), series.end(),
                                [&key = key](const ChartSeries& one) { return one.name == key; });
      if (found == series.end()) found = series.insert(series.end(), {.name = key});
      found->x.push_back(x);
      found->y.push_back(NumberIn(value));
    }
  }
  return series;
}

bool IsLoss(const std::string& key) { return absl::StrContains(key, "loss"); }
bool IsAccuracy(const std::string& key) { return absl::StrContains(key, "acc"); }

/// A term that is the whole loss says nothing more.
void DropRepetitions(std::vector<ChartSeries>* series) {
  for (size_t i = 1; i < series->size();) {
    const bool repeats = (*series)[i].x == series->front().x && (*series)[i].y == series->front().y;
    repeats ? series->erase(series->begin() + i) : series->begin() + ++i;
  }
}

std::string AxisName(const std::vector<JsonRow>& rows) {
  for (const char* axis : {"step", "epoch"})
    for (const auto& [key, value] : rows.front())
      if (key == axis) return axis;
  return "row";
}

std::string Picture(const std::string& uri, const std::string& alternative) {
  return absl::StrCat("<img src=\"", uri, "\" alt=\"", EscapeHtml(alternative),
                      "\" width=\"240\" height=\"240\">");
}

std::string Figure(const char* css_class, const std::string& picture, const std::string& caption_html) {
  return absl::StrCat("<figure class=\"", css_class, "\">", picture, "<figcaption>", caption_html,
                      "</figcaption></figure>\n");
}

std::string Unquoted(const std::string& json) {
  return json.size() >= 2 && json.front() == '"' ? json.substr(1, json.size() - 2) : json;
}

/// A point cloud is shown as what it is.
ShapePictures::Style StyleOf(const std::string& backend) {
  return absl::StartsWith(backend, "pointcloud") ? ShapePictures::Style::kPoints
                                                 : ShapePictures::Style::kSurface;
}

absl::StatusOr<std::string> ExampleRow(const RetrievalExample& example, const std::string& query_backend,
                                       const std::string& gallery_backend, const std::string& of,
                                       ShapePictures& shapes, Pictured* pictured) {
  const auto tile = [&](const std::string& key, const std::string& backend, const char* css_class,
                        const std::string& caption) -> absl::StatusOr<std::string> {
    MF_ASSIGN_OR_RETURN(const std::string uri, shapes.Picture(key, StyleOf(backend)));
    pictured->keys.push_back(key);
    ++pictured->pictures;
    return Figure(css_class, Picture(uri, key), caption);
  };
  std::string html = "<div class=\"shapes\">\n";
  MF_ASSIGN_OR_RETURN(const std::string query,
                      tile(example.query_key(), query_backend, "shape query",
                           absl::StrCat(EscapeHtml(example.query_key()), "<br>itself at rank ",
                                        example.rank(), EscapeHtml(of))));
  html += query;
  for (int i = 0; i < example.gallery_keys_size(); ++i) {
    const std::string& key = example.gallery_keys(i);
    const bool right = key == example.query_key();
    MF_ASSIGN_OR_RETURN(
        const std::string found,
        tile(key, gallery_backend, right ? "shape right" : "shape",
             absl::StrCat(i + 1, right ? " — the same shape" : absl::StrCat(" · ", EscapeHtml(key)))));
    html += found;
  }
  return html + "</div>\n";
}

/// The slices of one shape from every result that has it.
struct SliceGroup {
  std::string key;
  const FieldSlice* first = nullptr;
  std::vector<std::pair<std::string, const FieldSlice*>> predicted;
};

absl::Status CheckSlice(const std::string& path, const FieldSlice& slice) {
  const int64_t side = slice.resolution(), cells = side * side;
  const bool fits = side > 0 && side <= 1024 && slice.truth_size() == cells &&
                    slice.baseline_size() == cells &&
                    (slice.predicted_size() == cells || slice.predicted_size() == 0);
  if (fits) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": the slice of ", slice.key(), " is not ", side, " x ", side, " values"));
}

absl::StatusOr<std::string> FieldPicture(const google::protobuf::RepeatedField<float>& field, int side,
                                         float high, float tau) {
  // Stored [ix][iy]; pictures have rows of y.
  std::vector<float> rows(field.size());
  for (int x = 0; x < side; ++x)
    for (int y = 0; y < side; ++y) rows[y * side + x] = field[x * side + y];
  const SliceOptions options = {.width = 240, .height = 240, .low = 0, .high = high, .contour = tau};
  MF_ASSIGN_OR_RETURN(const std::string png, EncodePng(RenderSlice(rows, side, side, options)));
  return DataUri("image/png", png);
}

absl::StatusOr<std::string> ColorScale(float high) {
  std::vector<float> ramp;
  for (int row = 0; row < 2; ++row)
    for (int i = 0; i < 64; ++i) ramp.push_back(high * static_cast<float>(i) / 63.0f);
  const SliceOptions options = {.width = 256, .height = 16, .low = 0, .high = high, .contour = std::nullopt};
  MF_ASSIGN_OR_RETURN(const std::string png, EncodePng(RenderSlice(ramp, 64, 2, options)));
  return absl::StrFormat("<span class=\"scale\">0 <img src=\"%s\" alt=\"colour scale\"> %.2f</span>",
                         DataUri("image/png", png), high);
}

absl::StatusOr<std::string> GroupRow(const SliceGroup& group, float tau, Pictured* pictured) {
  const FieldSlice& first = *group.first;
  float high = 1e-6f;
  for (const float value : first.truth())
    if (std::isfinite(value)) high = std::max(high, value);
  std::string tiles;
  const auto add = [&](const google::protobuf::RepeatedField<float>& field, int side,
                       const std::string& name) -> absl::Status {
    MF_ASSIGN_OR_RETURN(const std::string uri, FieldPicture(field, side, high, tau));
    ++pictured->pictures;
    tiles += Figure("shape field", Picture(uri, absl::StrCat(name, ", ", group.key)), EscapeHtml(name));
    return absl::OkStatus();
  };
  MF_RETURN_IF_ERROR(add(first.truth(), first.resolution(), "true"));
  MF_RETURN_IF_ERROR(add(first.baseline(), first.resolution(), "nn_copy"));
  for (const auto& [label, slice] : group.predicted)
    MF_RETURN_IF_ERROR(add(slice->predicted(), slice->resolution(), label));
  MF_ASSIGN_OR_RETURN(const std::string scale, ColorScale(high));
  pictured->keys.push_back(group.key);
  return absl::StrCat("<h3>", EscapeHtml(group.key), "</h3>\n<div class=\"shapes\">\n", tiles,
                      "</div>\n<p class=\"note\">distance ", scale, "</p>\n");
}

}  // namespace

absl::StatusOr<std::string> RunCharts(const std::string& run_dir) {
  const std::string path = JoinPath(run_dir, "log.jsonl");
  MF_ASSIGN_OR_RETURN(const std::vector<JsonRow> rows, ReadJsonLines(path));
  std::vector<ChartSeries> losses = SeriesOf(rows, IsLoss);
  if (losses.empty()) return absl::InvalidArgumentError(absl::StrCat(path, ": no number called loss"));
  DropRepetitions(&losses);
  std::string name = run_dir;
  while (name.size() > 1 && name.ends_with('/')) name.pop_back();
  name = name.substr(name.rfind('/') + 1);
  const std::string axis = AxisName(rows);
  std::string html = absl::StrCat(
      "<figure>",
      LineChartSvg(
          losses,
          {.title = name, .x_label = axis, .y_label = "loss", .width = kChartWidth, .height = kChartHeight}),
      "</figure>\n");
  const std::vector<ChartSeries> accuracies = SeriesOf(rows, IsAccuracy);
  if (!accuracies.empty()) {
    absl::StrAppend(&html, "<figure>",
                    LineChartSvg(accuracies, {.title = name + ": accuracy",
                                              .x_label = axis,
                                              .y_label = "accuracy",
                                              .width = kChartWidth,
                                              .height = kChartHeight}),
                    "</figure>\n");
  }
  return html;
}

std::string CurveSection(std::span<const std::string> charts) {
  if (charts.empty()) return "";
  std::string html = "<section id=\"curves\">\n<h2>Training</h2>\n<div class=\"charts\">\n";
  for (const std::string& chart : charts) html += chart;
  return html +
         "</div>\n<p class=\"note\">Lines of many steps are means over equal parts of the run; the band is "
         "the range. Objectives differ, so losses compare within a chart, not across.</p>\n</section>\n";
}

absl::StatusOr<std::string> RetrievalSection(std::span<const MeasuredFile> files, ShapePictures& shapes,
                                             Pictured* pictured) {
  std::string html;
  for (const MeasuredFile& file : files) {
    const auto* ucpr = std::get_if<UcprResult>(&file.result);
    if (ucpr == nullptr || ucpr->examples_size() == 0) continue;
    const ResultRecord& record = ucpr->record();
    const std::string query = Unquoted(SettingOf(record, "query_backend"));
    const std::string gallery = Unquoted(SettingOf(record, "gallery_backend"));
    const std::string n = SettingOf(record, "n_files");
    absl::StrAppend(&html, "<h3>", EscapeHtml(record.label()), ": ", EscapeHtml(query), " → ",
                    EscapeHtml(gallery), "</h3>\n<div class=\"gallery\">\n");
    for (const RetrievalExample& example : ucpr->examples()) {
      MF_ASSIGN_OR_RETURN(
          const std::string row,
          ExampleRow(example, query, gallery, n.empty() ? "" : absl::StrCat(" of ", n), shapes, pictured));
      html += row;
    }
    html += "</div>\n";
  }
  if (html.empty()) return html;
  return absl::StrCat(
      "<section id=\"retrieval\">\n<h2>What is found</h2>\n<p>Left, framed in blue, the shape that is asked "
      "for; beside it the five nearest answers, best first. The shape itself is outlined in green.</p>\n",
      html, "</section>\n");
}

absl::StatusOr<std::string> FieldSection(std::span<const MeasuredFile> files, Pictured* pictured) {
  std::vector<SliceGroup> groups;
  float tau = 0.03f;
  for (const MeasuredFile& file : files) {
    const auto* cpac = std::get_if<CpacResult>(&file.result);
    if (cpac == nullptr) continue;
    double parsed = 0;
    if (absl::SimpleAtod(SettingOf(cpac->record(), "tau"), &parsed)) tau = static_cast<float>(parsed);
    for (const FieldSlice& slice : cpac->slices()) {
      MF_RETURN_IF_ERROR(CheckSlice(file.path, slice));
      auto group = std::find_if(groups.begin(), groups.end(),
                                [&](const SliceGroup& g) { return g.key == slice.key(); });
      if (group == groups.end()) group = groups.insert(groups.end(), {slice.key(), &slice, {}});
      if (slice.predicted_size() > 0) group->predicted.emplace_back(cpac->record().label(), &slice);
    }
  }
  if (groups.empty()) return "";
  std::string html = absl::StrFormat(
      "<section id=\"fields\">\n<h2>Completed fields</h2>\n<p>The plane z = 0 of the unsigned distance "
      "field: "
      "true, copied from the nearest context point, and read off each model. The line marks distance "
      "%g; one colour scale per shape, distances in units of the cube [−1, 1]³.</p>\n",
      tau);
  for (const SliceGroup& group : groups) {
    MF_ASSIGN_OR_RETURN(const std::string row, GroupRow(group, tau, pictured));
    html += row;
  }
  return html + "</section>\n";
}

}  // namespace manyform
