#pragma once

#include <string>
#include <vector>

namespace fireclaw::cli {

/// One curve: what y was at x = 1, 2, 3, ...
struct Curve {
  std::string title;
  std::string unit;
  std::vector<double> values;
};

/// An SVG picture with a panel for each curve, one below the other, over the same x. At least one value each.
std::string plot_svg(const std::string& x_title, const std::vector<Curve>& curves);

}  // namespace fireclaw::cli
