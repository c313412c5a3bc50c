#include "base/line_chart.h"

#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "base/numpy_random.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

int Count(const std::string& text, const std::string& what) {
  int count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

TEST(AxisTicks, ByHand) {
  EXPECT_EQ(AxisTicks(0, 10, 5), (std::vector<double>{0, 2, 4, 6, 8, 10}));
  EXPECT_EQ(AxisTicks(0.3, 9.1, 5), (std::vector<double>{0, 2, 4, 6, 8, 10}));
  EXPECT_EQ(AxisTicks(-1, 1, 4), (std::vector<double>{-1, -0.5, 0, 0.5, 1}));
  EXPECT_EQ(AxisTicks(100, 200, 2), (std::vector<double>{100, 150, 200}));
}

TEST(AxisTicks, CoverTheRangeInRoundSteps) {
  NumpyRandomState random(1);
  for (int round = 0; round < 3000; ++round) {
    const double size = std::pow(10.0, random.Uniform(-8, 8));
    const double low = random.Uniform(-size, size), high = low + std::pow(10.0, random.Uniform(-5, 1)) * size;
    const int most = static_cast<int>(random.RandInt(1, 12));
    const std::vector<double> ticks = AxisTicks(low, high, most);
    ASSERT_GE(ticks.size(), 2);
    EXPECT_LE(ticks.size(), static_cast<size_t>(most) + 2);
    const double step = ticks[1] - ticks[0];
    EXPECT_LE(ticks.front(), low + 1e-8 * step);
    EXPECT_GE(ticks.back(), high - 1e-8 * step);
    EXPECT_GT(ticks[1], low) << "no tick is wasted";
    EXPECT_LT(ticks[ticks.size() - 2], high);
    const double mantissa = step / std::pow(10.0, std::floor(std::log10(step) + 1e-9));
    EXPECT_NEAR(mantissa * 1e6, std::round(mantissa) * 1e6, 1) << step;
    EXPECT_TRUE(std::set<int>({1, 2, 5}).count(static_cast<int>(std::round(mantissa)))) << step;
    std::set<std::string> labels;
    if (high - low > size * 1e-2) {
      for (const double tick : ticks) labels.insert(TickLabel(tick, step));
      EXPECT_EQ(labels.size(), ticks.size()) << "labels tell ticks apart";
    }
  }
}

TEST(TickLabel, Shortest) {
  EXPECT_EQ(TickLabel(0.25, 0.05), "0.25");
  EXPECT_EQ(TickLabel(2, 1), "2");
  EXPECT_EQ(TickLabel(15000, 5000), "15k");
  EXPECT_EQ(TickLabel(2e6, 1e6), "2M");
  EXPECT_EQ(TickLabel(0, 1e-7), "0");
  EXPECT_EQ(TickLabel(-0.5, 0.5), "-0.5");
}

TEST(LineChartSvg, HasAxesLegendAndOneLinePerSeries) {
  const std::vector<ChartSeries> series = {{"first <run>", {0, 1, 2}, {1.0, 0.5, 0.25}},
                                           {"second", {0, 2}, {0.9, 0.1}}};
  const std::string svg = LineChartSvg(series, {.title = "Loss & co", .x_label = "step", .y_label = "loss"});
  EXPECT_EQ(Count(svg, "<path "), 2);
  EXPECT_EQ(Count(svg, "class=\"legend\""), 2);
  EXPECT_EQ(Count(svg, "<polygon"), 0) << "few points are drawn as they are";
  EXPECT_NE(svg.find(">first &lt;run&gt;<"), std::string::npos);
  EXPECT_NE(svg.find(">Loss &amp; co<"), std::string::npos);
  for (const char* label : {">0.2<", ">0.4<", ">1.0<", ">step<", ">loss<"})
    EXPECT_NE(svg.find(label), std::string::npos) << label;
  EXPECT_EQ(Count(svg, "<svg"), 1);
  EXPECT_EQ(Count(svg, "</svg>"), 1);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
}

TEST(LineChartSvg, ManyPointsBecomeAMeanAndABand) {
  ChartSeries series = {"noisy", {}, {}};
  for (int i = 0; i < 50000; ++i) {
    series.x.push_back(i);
    series.y.push_back(i % 2);
  }
  const std::string svg = LineChartSvg(std::vector<ChartSeries>{series}, {.title = "t", .bins = 100});
  EXPECT_EQ(Count(svg, "<polygon"), 1);
  EXPECT_LT(svg.size(), 20000);
  EXPECT_EQ(Count(svg.substr(svg.find("<path ")), "L"), 99);
}

TEST(LineChartSvg, OneSeriesNeedsNoLegend) {
  const std::vector<ChartSeries> series = {{"loss", {0, 1}, {1, 2}}};
  EXPECT_EQ(Count(LineChartSvg(series, {.title = "t", .y_label = "y"}), "class=\"legend\""), 0);
}

TEST(LineChartSvg, GapsInterruptTheLine) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<ChartSeries> series = {{"a", {0, 1, 2, 3, 4}, {1, 2, nan, 3, 4}}};
  const std::string svg = LineChartSvg(series, {.title = "t"});
  const std::string path = svg.substr(svg.find("<path d=\""), 80);
  EXPECT_EQ(Count(path, "M"), 2);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
}

TEST(LineChartSvg, SaysWhenThereIsNothingAndDrawsASinglePoint) {
  EXPECT_NE(LineChartSvg({}, {.title = "t"}).find("no data"), std::string::npos);
  const std::vector<ChartSeries> one = {{"a", {3}, {2}}};
  const std::string svg = LineChartSvg(one, {.title = "t"});
  EXPECT_EQ(svg.find("no data"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
}

}  // namespace
}  // namespace manyform
