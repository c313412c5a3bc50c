/// \file
/// Small line charts as inline SVG: axes, grid, legend, no script.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace manyform {

struct ChartSeries {
  std::string name;
  std::vector<double> x, y;  ///< same length, x ascending; a y that is not finite interrupts the line
};

struct ChartOptions {
  std::string title, x_label, y_label;
  int width = 720, height = 300;
  /// More points than this are gathered into so many bins: the line is their mean, a band their range.
  int bins = 240;
};

/// Multiples of 1, 2 or 5 times a power of ten that cover [low, high] from just outside it or on it, at most
/// `most` + 1 of them. \pre finite, low <= high, most >= 1
std::vector<double> AxisTicks(double low, double high, int most);
/// The shortest text that tells ticks `step` apart: "0.25", "15k", "1e-07".
std::string TickLabel(double value, double step);

/// An <svg> element; text takes the page's font, colours are told apart by the colour-blind. A legend where
/// there are two series or more. Without a finite point it says so inside the frame.
std::string LineChartSvg(std::span<const ChartSeries> series, const ChartOptions& options);

}  // namespace manyform
