#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/logger.hpp"
#include "net/policy.hpp"
#include "net/pool.hpp"
#include "state/layout.hpp"
#include "state/records/runs.hpp"
#include "state/settings/gateway.hpp"
#include "state/settings/secrets.hpp"

namespace fireclaw::gateway {

/// Identifies a version of a file. Files are replaced by others, never changed in place.
struct FileVersion {
  ino_t inode = 0;
  std::int64_t mtime_ns = 0;
  std::int64_t bytes = -1;

  /// The file's version now; that of no file if it is missing.
  static FileVersion of(const std::filesystem::path& file) noexcept;
  bool operator==(const FileVersion&) const = default;
};

/// The machine that a request comes from.
struct Client {
  /// Its agent's name; the machine's id if it was not started for one.
  std::string name;
  std::string machine;
  /// Empty: it was not started for an agent, and has only its id.
  std::string agent = {};
  std::string machine_name = {};

  bool operator==(const Client&) const = default;
};

/// The settings and machines that the gateway works with, as of now. Use from one thread.
class Sources {
 public:
  virtual ~Sources() = default;
  /// Has no upstreams if the gateway does not serve it.
  virtual const state::LlmSettings& llm() = 0;
  virtual const state::IrcSettings& irc() = 0;
  virtual const state::SecretStore::Secrets& secrets() = 0;
  /// The machine with this address (in dotted decimals).
  virtual std::optional<Client> client(std::string_view address) = 0;
};

/// The same from a home folder. Files are read again when they have changed; one that cannot be used is logged once,
/// and its old content stays in use.
class HomeSources final : public Sources {
 public:
  /// Error(Corrupt), Error(PermissionDenied) for files that cannot be used.
  HomeSources(state::Layout layout, const net::NetworkPolicy& policy, Logger logger);

  const state::LlmSettings& llm() override;
  const state::IrcSettings& irc() override;
  const state::SecretStore::Secrets& secrets() override;
  std::optional<Client> client(std::string_view address) override;
  /// The address of the machine whose interface on the host this is.
  std::optional<std::string> address_of_tap(std::string_view tap);

 private:
  void read_leases();
  template <class Load>
  void refresh(FileVersion& known, const std::filesystem::path& file, Load load);
  void read_settings();

  state::Layout layout_;
  Logger logger_;
  state::SecretStore store_;
  state::RunStore runs_;
  net::AddressPool pool_;
  FileVersion config_version_;
  FileVersion secrets_version_;
  FileVersion pool_version_;
  state::LlmSettings llm_;
  state::IrcSettings irc_;
  state::SecretStore::Secrets secrets_;
  /// Addresses, and the machines that have them.
  std::map<std::string, std::string, std::less<>> machines_;
  /// Interfaces, and the addresses that are behind them.
  std::map<std::string, std::string, std::less<>> taps_;
  std::map<std::string, Client, std::less<>> clients_;
};

}  // namespace fireclaw::gateway
