#include "gateway/records/sources.hpp"

#include <sys/stat.h>

#include <utility>

#include <fmt/format.h>

#include "fireclaw/error.hpp"
#include "gateway/records/files.hpp"
#include "state/settings/config.hpp"

namespace fireclaw::gateway {

FileVersion FileVersion::of(const std::filesystem::path& file) noexcept {
  struct stat about {};
  if (::stat(file.c_str(), &about) != 0) return {};
  return {about.st_ino, std::int64_t{about.st_mtim.tv_sec} * 1'000'000'000 + about.st_mtim.tv_nsec, about.st_size};
}

HomeSources::HomeSources(state::Layout layout, const net::NetworkPolicy& policy, Logger logger)
    : layout_{std::move(layout)},
      logger_{std::move(logger)},
      store_{secrets_file(layout_), layout_.lock("secrets")},
      runs_{layout_.runs(), logger_},
      pool_{layout_.address_pool(), policy.bridge, policy.subnet, policy.gateway, logger_},
      config_version_{FileVersion::of(layout_.config())},
      secrets_version_{FileVersion::of(secrets_file(layout_))} {
  read_settings();
  secrets_ = store_.read();
}

void HomeSources::read_settings() {
  const auto config = state::read_config(layout_.config());
  auto settings = config.gateway ? state::read_gateway_settings(*config.gateway) : state::GatewaySettings{};
  llm_ = std::move(settings.llm).value_or(state::LlmSettings{});
  irc_ = std::move(settings.irc).value_or(state::IrcSettings{});
}

template <class Load>
void HomeSources::refresh(FileVersion& known, const std::filesystem::path& file, Load load) {
  // Taken before the file is read: if it changes meanwhile, it is read again.
  const auto now = FileVersion::of(file);
  if (now == known) return;
  known = now;
  try {
    load();
  } catch (const std::exception& problem) {
    logger_.error(fmt::format("{}; the settings read before stay in use", problem.what()));
  }
}

const state::LlmSettings& HomeSources::llm() {
  refresh(config_version_, layout_.config(), [&] { read_settings(); });
  return llm_;
}

const state::IrcSettings& HomeSources::irc() {
  refresh(config_version_, layout_.config(), [&] { read_settings(); });
  return irc_;
}

const state::SecretStore::Secrets& HomeSources::secrets() {
  refresh(secrets_version_, secrets_file(layout_), [&] { secrets_ = store_.read(); });
  return secrets_;
}

void HomeSources::read_leases() {
  refresh(pool_version_, layout_.address_pool(), [&] {
    decltype(machines_) machines;
    decltype(taps_) taps;
    decltype(clients_) clients;
    for (const auto& lease : pool_.list()) {
      taps.emplace(lease.tap.str(), lease.address.to_string());
      machines.emplace(lease.address.to_string(), lease.run);
      // A machine's agent stays the same.
      if (const auto known = clients_.find(lease.run); known != clients_.end()) clients.insert(*known);
    }
    machines_ = std::move(machines);
    taps_ = std::move(taps);
    clients_ = std::move(clients);
  });
}

std::optional<std::string> HomeSources::address_of_tap(std::string_view tap) {
  read_leases();
  const auto found = taps_.find(tap);
  return found == taps_.end() ? std::nullopt : std::optional{found->second};
}

std::optional<Client> HomeSources::client(std::string_view address) {
  read_leases();
  const auto machine = machines_.find(address);
  if (machine == machines_.end()) return std::nullopt;
  if (const auto known = clients_.find(machine->second); known != clients_.end()) return known->second;
  const auto record = runs_.find(machine->second);
  if (!record) return std::nullopt;
  Client client{record->agent.empty() ? record->id : record->agent, record->id, record->agent, record->machine};
  clients_.emplace(record->id, client);
  return client;
}

}  // namespace fireclaw::gateway
