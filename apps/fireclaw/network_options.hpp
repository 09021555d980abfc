#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

#include "command.hpp"
#include "fireclaw/fireclaw.hpp"

namespace fireclaw::cli {

/// --net and, for machines that are run, what goes with it: -p, --egress, --allow, --allow-http, --net-rate,
/// --services, --no-services.
class NetworkOptions {
 public:
  void add_mode_to(CLI::App& command);
  void add_all_to(CLI::App& command);

  /// Sets network and nat of `config`. Without --net: what FIRECLAW_NET says, else nat where it is possible, and none
  /// where not. Error(InvalidArgument) for options that contradict each other.
  void apply(VMConfig& config, const Host& host, const Context& context);
  /// As if it had been given with --net.
  void choose(std::string mode) { mode_ = std::move(mode); }
  /// Says, if so, that there is no network though none was refused.
  void tell_what_is_missing() const;

 private:
  [[nodiscard]] bool wants_nat() const;

  std::string mode_;
  std::string egress_;
  std::vector<std::string> allow_;
  std::vector<std::string> allow_http_;
  std::vector<std::string> publish_;
  unsigned mib_per_second_ = 0;
  bool services_ = false;
  bool no_services_ = false;
  /// Why there is none; empty unless that is news.
  std::string missing_;
};

}  // namespace fireclaw::cli
