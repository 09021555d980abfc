#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

#include "command.hpp"
#include "fireclaw/fireclaw.hpp"

namespace fireclaw::cli {

/// --net and, for commands that run machines, its companions: -p, --egress, --allow, --allow-http, --net-rate,
/// --services, --no-services.
class NetworkOptions {
 public:
  void add_mode_to(CLI::App& command);
  void add_all_to(CLI::App& command);

  /// Sets network and nat of `config`. Without --net: FIRECLAW_NET, else nat if it is possible, else
  /// none. Error(InvalidArgument) for options that contradict each other.
  void apply(VMConfig& config, const Host& host, const Context& context);
  /// As if it had been given with --net.
  void choose(std::string mode) { mode_ = std::move(mode); }
  /// Warns if there is no network although nobody asked for none.
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
  /// Why there is none; empty if there is nothing to warn of.
  std::string missing_;
};

}  // namespace fireclaw::cli
