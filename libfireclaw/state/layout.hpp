#pragma once

#include <filesystem>
#include <string>
#include <utility>

namespace fireclaw::state {

/// The paths of a home folder.
class Layout {
 public:
  explicit Layout(std::filesystem::path home) : home_{std::move(home)} {}

  [[nodiscard]] const std::filesystem::path& home() const { return home_; }
  [[nodiscard]] std::filesystem::path config() const { return home_ / "config.json"; }
  [[nodiscard]] std::filesystem::path images() const { return home_ / "images"; }
  [[nodiscard]] std::filesystem::path snapshots() const { return home_ / "snapshots"; }
  [[nodiscard]] std::filesystem::path workspaces() const { return home_ / "workspaces"; }
  [[nodiscard]] std::filesystem::path templates() const { return home_ / "templates"; }
  [[nodiscard]] std::filesystem::path agents() const { return home_ / "agents"; }
  [[nodiscard]] std::filesystem::path machines() const { return home_ / "machines"; }
  [[nodiscard]] std::filesystem::path keys() const { return home_ / "keys"; }
  [[nodiscard]] std::filesystem::path runs() const { return home_ / "runs"; }
  [[nodiscard]] std::filesystem::path address_pool() const { return home_ / "ip-pool.json"; }
  /// The record of changes to the host for the bridge.
  [[nodiscard]] std::filesystem::path network_record() const { return home_ / "network.json"; }
  /// The process that keeps the network of a user without rights to the host's.
  [[nodiscard]] std::filesystem::path network_anchor() const { return home_ / "network-anchor.json"; }
  /// Lock files: one for each object that processes take turns on.
  [[nodiscard]] std::filesystem::path lock(const std::string& what) const { return home_ / "locks" / what; }

 private:
  std::filesystem::path home_;
};

}  // namespace fireclaw::state
