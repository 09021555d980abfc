#include "net/pool.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>

#include "fireclaw/error.hpp"
#include "json/json.hpp"
#include "net/boot.hpp"
#include "sys/file.hpp"

namespace fireclaw::net {
namespace {

constexpr std::int64_t schema = 1;
constexpr std::chrono::seconds lock_patience{30};

sys::FileLock take_turn(const std::filesystem::path& file) {
  const auto lock = file.string() + ".lock";
  return sys::FileLock::acquire(lock, sys::FileLock::Mode::Exclusive, Deadline::after(lock_patience),
                                fmt::format("the address pool ({})", lock));
}

/// Reads a value with one of our parsers; its complaint then names the field.
template <typename Parse>
auto parse_field(const json::Value& value, Parse parse) {
  try {
    return parse(value.as_string());
  } catch (const Error& error) {
    if (error.code() == ErrorCode::Corrupt) throw;
    value.fail(error.what());
  }
}

}  // namespace

struct AddressPool::Content {
  std::map<Ipv4Address, Lease> leases;
  /// Where the circle continues.
  Ipv4Address next;

  /// Removes the leases whose holders are gone, and returns them.
  std::vector<Lease> take_dead() {
    std::vector<Lease> dead;
    std::erase_if(leases, [&](const auto& entry) {
      if (sys::is_alive(entry.second.holder)) return false;
      dead.push_back(entry.second);
      return true;
    });
    return dead;
  }
};

AddressPool::AddressPool(std::filesystem::path file, InterfaceName bridge, Ipv4Network subnet, Ipv4Address gateway,
                         Logger logger)
    : file_{std::move(file)},
      bridge_{std::move(bridge)},
      subnet_{subnet},
      gateway_{gateway},
      logger_{std::move(logger)} {
  if (subnet.prefix() < 8 || subnet.prefix() > 30 || !subnet.contains(gateway)) {
    throw Error{
        ErrorCode::InvalidArgument,
        fmt::format("subnet {} with gateway {} cannot be used: the prefix must be 8 to 30 and the gateway in it",
                    subnet.to_string(), gateway.to_string())};
  }
}

std::size_t AddressPool::size() const { return (std::size_t{1} << (32 - subnet_.prefix())) - 3; }

bool AddressPool::is_usable(Ipv4Address address) const {
  return subnet_.contains(address) && address != subnet_.base() && address != subnet_.last() && address != gateway_;
}

AddressPool::Content AddressPool::parse() const {
  const auto file = json::Value::parse_file(file_);
  if (const auto found = file.at("schema").as_int(); found != schema) {
    file.at("schema").fail(fmt::format("written by another version of fireclaw ({}, not {})", found, schema));
  }
  file.only({"schema", "boot_id", "subnet", "next", "leases"});
  Content content;
  const auto subnet = parse_field(file.at("subnet"), Ipv4Network::parse);
  content.next = parse_field(file.at("next"), Ipv4Address::parse);
  for (const auto& entry : file.at("leases").as_array()) {
    entry.only({"address", "run", "tap", "pid", "start_time"});
    const auto address = parse_field(entry.at("address"), Ipv4Address::parse);
    const auto tap = parse_field(entry.at("tap"), [](const std::string& name) { return InterfaceName{name}; });
    Lease lease{address,
                entry.at("run").as_string(),
                tap,
                {static_cast<pid_t>(entry.at("pid").as_int()), entry.at("start_time").as_uint()}};
    if (!content.leases.emplace(address, std::move(lease)).second) {
      entry.at("address").fail("this address is on loan twice");
    }
  }
  // Process ids of another boot name other processes now.
  if (file.at("boot_id").as_string() != current_boot_id()) content.leases.clear();
  if (subnet != subnet_ && !content.leases.empty()) {
    throw Error{ErrorCode::InvalidState,
                fmt::format("{} addresses of {} are still on loan, so the subnet cannot be changed to {}; stop the "
                            "machines that have them first ({})",
                            content.leases.size(), subnet.to_string(), subnet_.to_string(), file_.string())};
  }
  if (!subnet_.contains(content.next)) content.next = subnet_.base();
  return content;
}

AddressPool::Content AddressPool::read() const {
  if (!std::filesystem::exists(file_)) return {{}, subnet_.base()};
  return parse();
}

AddressPool::Content AddressPool::read_or_set_aside() const {
  try {
    return read();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::Corrupt || !written_before_boot(file_)) throw;
    auto aside = file_;
    aside += ".torn";
    std::filesystem::rename(file_, aside);
    logger_.warning(
        fmt::format("{}; it was written before the last reboot, so no machine depends on it: it is kept as "
                    "{} and a new one is begun",
                    error.what(), aside.string()));
    return read();
  }
}

void AddressPool::write(const Content& content) const {
  json::Writer writer{json::Writer::Style::Pretty};
  writer.begin_object()
      .field("schema", schema)
      .field("boot_id", current_boot_id())
      .field("subnet", subnet_.to_string())
      .field("next", content.next.to_string())
      .key("leases")
      .begin_array();
  for (const auto& [address, lease] : content.leases) {
    writer.begin_object()
        .field("address", address.to_string())
        .field("run", lease.run)
        .field("tap", lease.tap.str())
        .field("pid", static_cast<std::int64_t>(lease.holder.pid))
        .field("start_time", lease.holder.start_time)
        .end_object();
  }
  writer.end_array().end_object();
  sys::replace_runtime_file(file_, writer.take());
}

std::optional<Ipv4Address> AddressPool::next_free(const Content& content) const {
  auto candidate = content.next;
  for (std::size_t tried = 0; tried < size() + 3; ++tried) {
    if (is_usable(candidate) && !content.leases.contains(candidate)) return candidate;
    candidate = candidate == subnet_.last() ? subnet_.base() : Ipv4Address::from_bits(candidate.bits() + 1);
  }
  return std::nullopt;
}

AddressPool::Allocation AddressPool::allocate(const sys::ProcessId& holder, std::string_view run,
                                              std::optional<Ipv4Address> wanted,
                                              const std::optional<InterfaceName>& tap) {
  if (wanted && !is_usable(*wanted)) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("{} cannot be given to a machine: it is not one of {}, or it is the gateway's",
                            wanted->to_string(), subnet_.to_string())};
  }
  const auto turn = take_turn(file_);
  auto content = read_or_set_aside();
  std::vector<Lease> reclaimed;
  // Looking whether holders live costs a few microseconds each: done only when it matters.
  const auto is_taken = [&] { return wanted ? content.leases.contains(*wanted) : content.leases.size() >= size(); };
  if (is_taken()) reclaimed = content.take_dead();
  if (is_taken()) {
    if (wanted) {
      const auto& other = content.leases.at(*wanted);
      throw Error{ErrorCode::AlreadyExists,
                  fmt::format("{} is on loan to '{}' (process {})", wanted->to_string(), other.run, other.holder.pid)};
    }
    throw Error{ErrorCode::InvalidState,
                fmt::format("all {} addresses of {} are held by running machines; stop some, or choose a larger subnet "
                            "(network.subnet in config.json)",
                            size(), subnet_.to_string())};
  }
  const auto address = wanted ? wanted : next_free(content);
  if (!address) throw Error{ErrorCode::Internal, "the address pool has room but no free address"};
  Lease lease{*address, std::string{run}, tap ? *tap : random_tap_name(bridge_), holder};
  content.leases.emplace(*address, lease);
  if (!wanted) content.next = Ipv4Address::from_bits(address->bits() + 1);
  write(content);
  return {std::move(lease), std::move(reclaimed)};
}

bool AddressPool::release(Ipv4Address address, std::string_view run) {
  const auto turn = take_turn(file_);
  auto content = read_or_set_aside();
  const auto found = content.leases.find(address);
  if (found == content.leases.end() || found->second.run != run) return false;
  content.leases.erase(found);
  write(content);
  return true;
}

void AddressPool::transfer(Ipv4Address address, std::string_view run, const sys::ProcessId& holder) {
  const auto turn = take_turn(file_);
  auto content = read_or_set_aside();
  const auto found = content.leases.find(address);
  if (found == content.leases.end() || found->second.run != run) {
    throw Error{ErrorCode::NotFound, fmt::format("'{}' does not hold {}", run, address.to_string())};
  }
  found->second.holder = holder;
  write(content);
}

std::vector<Lease> AddressPool::reclaim() {
  const auto turn = take_turn(file_);
  auto content = read_or_set_aside();
  auto dead = content.take_dead();
  if (!dead.empty()) write(content);
  return dead;
}

std::vector<Lease> AddressPool::list() const {
  // Without the lock: the file is replaced as a whole.
  const auto content = read_or_set_aside();
  std::vector<Lease> leases;
  for (const auto& [address, lease] : content.leases) leases.push_back(lease);
  return leases;
}

}  // namespace fireclaw::net
