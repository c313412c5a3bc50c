#include "base/line_chart.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/html.h"

namespace manyform {
namespace {

// Okabe and Ito's colours, the yellow left out: it is too light for a line.
constexpr std::array<const char*, 7> kColors = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                "#56b4e9", "#e69f00", "#444444"};
constexpr int kLeft = 58, kRight = 14, kTop = 34, kBottom = 44;
constexpr int kLegendRow = 18;

struct Bin {
  double x = 0, y = 0, low = 0, high = 0;
  bool gap = false;
};

// The points as they are, or gathered into equal parts of the series' own x range.
std::vector<Bin> Gather(const ChartSeries& series, int bins) {
  std::vector<Bin> gathered;
  const size_t n = std::min(series.x.size(), series.y.size());
  const bool as_they_are = n <= static_cast<size_t>(std::max(1, bins));
  const double first = n > 0 ? series.x.front() : 0, range = n > 0 ? series.x[n - 1] - first : 0;
  int64_t current = -1;
  int count = 0;
  for (size_t i = 0; i < n; ++i) {
    const double y = series.y[i];
    if (!std::isfinite(y) || !std::isfinite(series.x[i])) {
      gathered.push_back({.gap = true});
      current = -1;
      continue;
    }
    int64_t bin = static_cast<int64_t>(i);
    if (!as_they_are && range > 0)
      bin = std::min<int64_t>(bins - 1, static_cast<int64_t>((series.x[i] - first) / range * bins));
    if (bin != current || gathered.empty() || gathered.back().gap) {
      gathered.push_back({series.x[i], y, y, y});
      current = bin;
      count = 1;
      continue;
    }
    Bin& into = gathered.back();
    ++count;
    into.x += (series.x[i] - into.x) / count;
    into.y += (y - into.y) / count;
    into.low = std::min(into.low, y);
    into.high = std::max(into.high, y);
  }
  return gathered;
}

struct Axis {
  double low = 0, high = 1;
  std::vector<double> ticks;
  double step() const { return ticks.size() > 1 ? ticks[1] - ticks[0] : 1; }
};

class Plot {
 public:
  Plot(const ChartOptions& options, int legend_rows)
      : options_(options), bottom_(kBottom + legend_rows * kLegendRow) {}

  double X(double x) const {
    return kLeft + (x - x_.low) / (x_.high - x_.low) * (options_.width - kLeft - kRight);
  }
  double Y(double y) const { return base() - (y - y_.low) / (y_.high - y_.low) * (base() - kTop); }
  double base() const { return options_.height - kBottom; }
  int height() const { return options_.height + bottom_ - kBottom; }

  void Fit(const std::vector<std::vector<Bin>>& lines) {
    double x0 = std::numeric_limits<double>::infinity(), x1 = -x0, y0 = x0, y1 = -x0;
    for (const auto& line : lines) {
      for (const Bin& bin : line) {
        if (bin.gap) continue;
        x0 = std::min(x0, bin.x), x1 = std::max(x1, bin.x);
        y0 = std::min(y0, bin.low), y1 = std::max(y1, bin.high);
      }
    }
    if (x0 > x1) return;
    x_ = {x0, x1 > x0 ? x1 : x0 + 1, AxisTicks(x0, x1 > x0 ? x1 : x0 + 1, 8)};
    const double margin = y1 > y0 ? 0 : std::max(1e-12, std::abs(y0) * 0.1);
    y_.ticks = AxisTicks(y0 - margin, y1 + margin, 5);
    y_.low = y_.ticks.front(), y_.high = y_.ticks.back();
  }

  std::string Frame() const {
    std::string svg;
    for (const double tick : y_.ticks) {
      absl::StrAppendFormat(&svg, "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#e4e4ea\"/>\n",
                            kLeft, options_.width - kRight, Y(tick), Y(tick));
      absl::StrAppendFormat(&svg, "<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
                            kLeft - 8, Y(tick) + 4, TickLabel(tick, y_.step()));
    }
    for (const double tick : x_.ticks) {
      if (tick < x_.low || tick > x_.high) continue;
      absl::StrAppendFormat(&svg,
                            "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#9a9aa6\"/>\n",
                            X(tick), X(tick), base(), base() + 4);
      absl::StrAppendFormat(&svg,
                            "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n",
                            X(tick), base() + 17, TickLabel(tick, x_.step()));
    }
    absl::StrAppendFormat(&svg, "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#9a9aa6\"/>\n",
                          kLeft, options_.width - kRight, base(), base());
    return svg;
  }

  std::string Line(const std::vector<Bin>& line, const char* color) const {
    std::string path, svg;
    bool pen_down = false;
    for (const Bin& bin : line) {
      if (!bin.gap) absl::StrAppendFormat(&path, "%c%.1f %.1f", pen_down ? 'L' : 'M', X(bin.x), Y(bin.y));
      pen_down = !bin.gap;
    }
    svg = Band(line, color);
    absl::StrAppend(&svg, "<path d=\"", path, "\" fill=\"none\" stroke=\"", color,
                    "\" stroke-width=\"1.7\" stroke-linejoin=\"round\" stroke-linecap=\"round\"/>\n");
    return svg;
  }

 private:
  // The range of what each point stands for, one polygon per stretch without gaps.
  std::string Band(const std::vector<Bin>& line, const char* color) const {
    std::string svg;
    for (size_t first = 0; first < line.size();) {
      size_t end = first;
      bool wide = false;
      for (; end < line.size() && !line[end].gap; ++end) wide |= line[end].high > line[end].low;
      if (wide) {
        std::string points;
        for (size_t i = first; i < end; ++i)
          absl::StrAppendFormat(&points, "%.1f,%.1f ", X(line[i].x), Y(line[i].high));
        for (size_t i = end; i-- > first;)
          absl::StrAppendFormat(&points, "%.1f,%.1f ", X(line[i].x), Y(line[i].low));
        points.pop_back();
        absl::StrAppend(&svg, "<polygon points=\"", points, "\" fill=\"", color, "\" opacity=\"0.16\"/>\n");
      }
      first = end + 1;
    }
    return svg;
  }

  const ChartOptions& options_;
  const int bottom_;
  Axis x_{0, 1, {0, 1}}, y_{0, 1, {0, 1}};
};

struct LegendEntry {
  int row;
  double x;
};

// Names flow from left to right; widths are estimated, since nobody measures text here.
std::vector<LegendEntry> FlowLegend(std::span<const ChartSeries> series, int width) {
  std::vector<LegendEntry> entries;
  double x = kLeft;
  int row = 0;
  if (series.size() == 1) return entries;  // the axis names it
  for (const ChartSeries& one : series) {
    const double needed = 36 + 7.0 * static_cast<double>(one.name.size());
    if (x > kLeft && x + needed > width - kRight) x = kLeft, ++row;
    entries.push_back({row, x});
    x += needed;
  }
  return entries;
}

}  // namespace

std::vector<double> AxisTicks(double low, double high, int most) {
  if (!(high > low)) high = low + std::max(1e-12, std::abs(low) * 1e-9);
  const double rough = (high - low) / most;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {5.0, 2.0, 1.0}) {
    const double candidate = factor * power;
    const double spans = std::ceil(high / candidate - 1e-9) - std::floor(low / candidate + 1e-9);
    if (spans <= most) step = candidate;
  }
  const double first = std::floor(low / step + 1e-9), last = std::ceil(high / step - 1e-9);
  std::vector<double> ticks;
  for (double k = first; k <= last; ++k) ticks.push_back(k == 0 ? 0.0 : k * step);
  return ticks;
}

std::string TickLabel(double value, double step) {
  if (value == 0) return "0";
  if (step >= 1e9 || step < 1e-5) {
    const int digits = 1 + static_cast<int>(std::ceil(std::log10(std::abs(value) / step) - 1e-9));
    return absl::StrFormat("%.*g", std::clamp(digits, 1, 17), value);
  }
  if (step >= 1e6) return absl::StrFormat("%.0fM", value / 1e6);
  if (step >= 1e3) return absl::StrFormat("%.0fk", value / 1e3);
  const int decimals = std::max(0, static_cast<int>(std::ceil(-std::log10(step) - 1e-9)));
  return absl::StrFormat("%.*f", decimals, value);
}

std::string LineChartSvg(std::span<const ChartSeries> series, const ChartOptions& options) {
  std::vector<std::vector<Bin>> lines;
  bool any = false;
  for (const ChartSeries& one : series) {
    lines.push_back(Gather(one, options.bins));
    for (const Bin& bin : lines.back()) any |= !bin.gap;
  }
  const std::vector<LegendEntry> legend = FlowLegend(series, options.width);
  Plot plot(options, legend.empty() ? 0 : legend.back().row + 1);
  plot.Fit(lines);

  std::string svg = absl::StrFormat(
      "<svg class=\"chart\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\" "
      "aria-label=\"%s\">\n",
      options.width, plot.height(), EscapeHtml(options.title));
  absl::StrAppendFormat(&svg, "<text class=\"chart-title\" x=\"%d\" y=\"18\">%s</text>\n", kLeft,
                        EscapeHtml(options.title));
  absl::StrAppend(&svg, plot.Frame());
  for (size_t i = 0; i < lines.size(); ++i)
    absl::StrAppend(&svg, plot.Line(lines[i], kColors[i % kColors.size()]));
  if (!any) {
    absl::StrAppendFormat(&svg,
                          "<text class=\"tick\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">no data</text>\n",
                          options.width / 2, options.height / 2);
  }
  absl::StrAppendFormat(&svg, "<text class=\"axis\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
                        options.width - kRight, plot.base() + 34, EscapeHtml(options.x_label));
  absl::StrAppendFormat(
      &svg, "<text class=\"axis\" transform=\"translate(14 %d) rotate(-90)\" text-anchor=\"end\">%s</text>\n",
      kTop, EscapeHtml(options.y_label));
  for (size_t i = 0; i < legend.size(); ++i) {
    const double y = plot.base() + 44 + legend[i].row * kLegendRow;
    absl::StrAppendFormat(
        &svg, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"3\"/>\n",
        legend[i].x, legend[i].x + 16, y, y, kColors[i % kColors.size()]);
    absl::StrAppendFormat(&svg, "<text class=\"legend\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", legend[i].x + 22,
                          y + 4, EscapeHtml(series[i].name));
  }
  absl::StrAppend(&svg, "</svg>\n");
  return svg;
}

}  // namespace manyform
