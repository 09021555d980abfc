#include "bench/plot.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>

#include <fmt/format.h>

namespace fireclaw::cli {
namespace {

constexpr double width = 720;
constexpr double panel_height = 220;
constexpr double left = 70;
constexpr double right = 20;
constexpr double top = 40;
constexpr double bottom = 40;
constexpr int ticks = 5;

/// The smallest of 1, 2, 5, 10, 20, ... times a tick that reaches `most`: axes end at round numbers.
double round_up(double most) {
  if (most <= 0) return 1;
  const double step = most / ticks;
  const double magnitude = std::pow(10.0, std::floor(std::log10(step)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * magnitude >= step) return factor * magnitude * ticks;
  }
  return 10 * magnitude * ticks;
}

std::string text(double x, double y, const char* anchor, const std::string& what) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor, what);
}

std::string panel(const Curve& curve, double offset) {
  const double plot_width = width - left - right;
  const double plot_height = panel_height - top - bottom;
  const double floor = offset + panel_height - bottom;
  const double y_end = round_up(*std::ranges::max_element(curve.values));
  const auto count = static_cast<double>(curve.values.size());
  const auto x_at = [&](double x) { return left + plot_width * x / count; };
  const auto y_at = [&](double y) { return floor - plot_height * y / y_end; };

  std::string svg = text(left, offset + top - 14, "start", fmt::format("{} ({})", curve.title, curve.unit));
  for (int i = 0; i <= ticks; ++i) {
    const double y = y_end * i / ticks;
    svg += fmt::format("<path class=\"grid\" d=\"M{:.1f} {:.1f}H{:.1f}\"/>\n", left, y_at(y), width - right);
    svg += text(left - 6, y_at(y) + 4, "end", fmt::format("{:g}", y));
    const double x = std::round(count * i / ticks);
    svg += text(x_at(x), floor + 16, "middle", fmt::format("{:g}", x));
  }
  svg += fmt::format("<path class=\"curve\" d=\"M{:.1f} {:.1f}", x_at(0), y_at(0));
  for (std::size_t i = 0; i < curve.values.size(); ++i) {
    svg += fmt::format("L{:.1f} {:.1f}", x_at(static_cast<double>(i + 1)), y_at(curve.values[i]));
  }
  return svg + "\"/>\n";
}

}  // namespace

std::string plot_svg(const std::string& x_title, const std::vector<Curve>& curves) {
  const double height = panel_height * static_cast<double>(curves.size()) + 20;
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\">\n"
      "<style>text{{font:12px sans-serif;fill:#333}}.grid{{stroke:#ddd;fill:none}}"
      ".curve{{stroke:#1f6feb;stroke-width:2;fill:none}}</style>\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
      width, height);
  for (std::size_t i = 0; i < curves.size(); ++i) svg += panel(curves[i], panel_height * static_cast<double>(i));
  return svg + text(width / 2, height - 8, "middle", x_title) + "</svg>\n";
}

}  // namespace fireclaw::cli
