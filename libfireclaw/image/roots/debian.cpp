#include "image/roots/bootstrap.hpp"

namespace fireclaw::image {

Tree make_debian_root(const Debian& source, const RootContext& context) {
  Tree tree =
      read_tar_root(bootstrap_debian({source.suite, source.packages, source.mirror, {}}, context), context.tools);
  neutralize(tree);
  return tree;
}

}  // namespace fireclaw::image
