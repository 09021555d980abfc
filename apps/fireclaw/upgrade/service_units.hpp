#pragma once

#include <string>
#include <vector>

#include "command.hpp"

namespace fireclaw::cli {

/// A unit file of systemd by which the home folder's services were installed.
struct ServiceUnit {
  std::string file;
  /// An earlier version wrote it.
  bool is_old = false;
  /// It was written again just now.
  bool renewed = false;
  /// The command that writes it again; empty: nothing has to be done.
  std::string remedy;
};

/// Asks fireclaw-overseer, which writes them; none if that is not installed. `renew`: writes old ones again. Error(Io)
/// if it fails; it has then said why.
std::vector<ServiceUnit> service_units(const Context& context, bool renew);

}  // namespace fireclaw::cli
