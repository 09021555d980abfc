#include "base/scope.hpp"

namespace fireclaw {

Rollback::~Rollback() {
  for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) {
    try {
      (*step)();
    } catch (...) {
      // Nobody is left to tell; the remaining steps matter more.
    }
  }
}

}  // namespace fireclaw
