#include "gateway/names/sources.hpp"

#include <exception>
#include <utility>

#include "state/records/run_policy.hpp"

namespace fireclaw::gateway {
namespace {

/// Machines come and go; beyond this, those of the past are forgotten.
constexpr std::size_t most_known = 1024;

}  // namespace

HomeNames::HomeNames(state::Layout layout, Sources& machines, Logger logger)
    : machines_{machines}, runs_{layout.runs(), std::move(logger)} {}

std::optional<NameClient> HomeNames::name_client(std::string_view address) try {
  auto client = machines_.client(address);
  if (!client) return std::nullopt;
  // Taken before the record is read: if it changes meanwhile, it is read again.
  const auto version = FileVersion::of(runs_.record_file(client->machine));
  auto known = known_.find(client->machine);
  if (known == known_.end() || known->second.version != version) {
    const auto record = runs_.find(client->machine);
    if (!record || !record->nat || record->nat->address != address) return std::nullopt;
    if (known_.size() >= most_known) known_.clear();
    NameRights rights{state::to_policy(*record->nat), {}};
    for (const auto& text : record->nat->allow_names) rights.names.push_back(net::NamedDestination::parse(text));
    for (const auto& text : record->nat->allow_http) rights.http.push_back(net::NamedDestination::parse(text));
    known = known_.insert_or_assign(client->machine, Known{version, std::move(rights)}).first;
  }
  return NameClient{*std::move(client), known->second.rights};
} catch (const std::exception&) {
  // The record has gone while it was read, or cannot be read: who that is has no rights.
  return std::nullopt;
}

}  // namespace fireclaw::gateway
