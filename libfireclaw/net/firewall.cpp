#include "net/firewall.hpp"

#include <fmt/format.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <string_view>
#include <utility>

#include "fireclaw/error.hpp"
#include "json/json.hpp"
#include "net/conntrack.hpp"
#include "net/netlink.hpp"
#include "net/nftables.hpp"
#include "net/ruleset.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"

namespace fireclaw::net {
namespace {

constexpr std::chrono::seconds lock_patience{30};

/// libnftables keeps parser state in globals, so contexts take turns too, not only the users of one.
constinit std::mutex libnftables_mutex;

/// What libnftables said, on one line, as an Error. It reports errno by text only.
Error to_error(std::string text) {
  const auto says = [&](int error) { return text.find(std::strerror(error)) != std::string::npos; };
  const auto code = says(EPERM)        ? ErrorCode::PermissionDenied
                    : says(EEXIST)     ? ErrorCode::AlreadyExists
                    : says(ENOENT)     ? ErrorCode::NotFound
                    : says(EOPNOTSUPP) ? ErrorCode::Unsupported
                                       : ErrorCode::Io;
  text.resize(std::min(text.size(), text.find('\n')));
  if (code == ErrorCode::PermissionDenied) text += "; it needs CAP_NET_ADMIN: run as root, or use --net user";
  if (code == ErrorCode::Unsupported) text += "; the kernel's nftables (nf_tables, nft_nat, ...) must be 5.10 or newer";
  return Error{code, fmt::format("cannot change the firewall: {}", text)};
}

class Context {
 public:
  Context() {
    // libnftables ends the process if the kernel has no netfilter netlink; find out before it does.
    const sys::Fd probe{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER)};
    if (probe.get() < 0) {
      throw Error{ErrorCode::Unsupported, "this kernel has no nftables: load the nf_tables module, or use --net user"};
    }
    // Nor does it keep to its error buffer when it lacks permission.
    if (!Netlink{}.may_configure()) {
      throw Error{ErrorCode::PermissionDenied,
                  "cannot use the firewall: not permitted; it needs CAP_NET_ADMIN: run as root, or use --net user"};
    }
    const std::scoped_lock lock{libnftables_mutex};
    context_ = nft_.ctx_new(NFT_CTX_DEFAULT);
    if (context_ == nullptr) throw std::bad_alloc{};
    nft_.ctx_output_set_flags(context_, NFT_CTX_OUTPUT_JSON);
    nft_.ctx_buffer_output(context_);
    nft_.ctx_buffer_error(context_);
  }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() {
    const std::scoped_lock lock{libnftables_mutex};
    nft_.ctx_free(context_);
  }

  /// Runs `commands` as one transaction and returns what they print: JSON for lists.
  std::string run(const std::string& commands) {
    const std::scoped_lock lock{libnftables_mutex};
    const int result = nft_.run_cmd_from_buffer(context_, commands.c_str());
    std::string output = nft_.ctx_get_output_buffer(context_);
    std::string errors = nft_.ctx_get_error_buffer(context_);
    if (result != 0) throw to_error(std::move(errors));
    return output;
  }

 private:
  const NftLibrary& nft_ = NftLibrary::get();
  nft_ctx* context_ = nullptr;
};

/// An element of one of our sets, apart into its parts: those of a concatenation, and those a map leads to.
struct Element {
  std::string family;
  std::string set;
  std::vector<std::string> key;
  std::vector<std::string> data;
};

std::string text_of(const json::Value& value) {
  if (value.is_string()) return value.as_string();
  if (value.type() == json::Value::Type::Number) return fmt::format("{}", value.as_uint());
  if (const auto prefix = value.find("prefix")) {
    return fmt::format("{}/{}", prefix->at("addr").as_string(), prefix->at("len").as_uint());
  }
  if (const auto target = value.find("goto")) return target->at("target").as_string();
  value.fail("not something that fireclaw puts into a set");
}

std::vector<std::string> parts_of(const json::Value& value) {
  const auto concatenation = value.is_object() ? value.find("concat") : std::nullopt;
  if (!concatenation) return {text_of(value)};
  std::vector<std::string> parts;
  for (const auto& part : concatenation->as_array()) parts.push_back(text_of(part));
  return parts;
}

/// The elements of a table as `list table` prints them in JSON.
void read_elements(const std::string& listing, std::vector<Element>& elements) {
  const auto document = json::Value::parse(listing, "nftables' list");
  for (const auto& object : document.at("nftables").as_array()) {
    const auto map = object.find("map");
    const auto set = map ? map : object.find("set");
    if (!set || !set->find("elem") || set->at("name").as_string() == "services" ||
        set->at("name").as_string() == "connection_rate") {
      continue;
    }
    for (const auto& entry : set->at("elem").as_array()) {
      Element element{set->at("family").as_string(), set->at("name").as_string(), {}, {}};
      if (map) {
        element.key = parts_of(entry.as_array().at(0));
        element.data = parts_of(entry.as_array().at(1));
      } else {
        element.key = parts_of(entry);
      }
      elements.push_back(std::move(element));
    }
  }
}

/// The address of the machine that an element belongs to.
Ipv4Address owner_of(const Element& element) {
  if (element.set == "sources") return Ipv4Address::parse(element.key.at(2));
  if (element.set == "published" || element.set == "published_at") return Ipv4Address::parse(element.data.at(0));
  return Ipv4Address::parse(element.key.at(0));
}

std::string delete_command(const InterfaceName& bridge, const Element& element) {
  auto key = element.key;
  if (element.set == "sources") key.front() = fmt::format("\"{}\"", key.front());
  return fmt::format("delete element {} {} {} {{ {} }}\n", element.family, table_name(bridge), element.set,
                     fmt::join(key, " . "));
}

/// Fills in what `element` says about its machine.
void apply(const Element& element, VmPolicy& vm) {
  const auto& key = element.key;
  if (element.set == "sources") {
    vm.tap = InterfaceName{key.at(0)};
    vm.mac = MacAddress::parse(key.at(1));
  } else if (element.set == "egress") {
    vm.egress = parse_egress(std::string_view{element.data.at(0)}.substr(std::string_view{"egress_"}.size()));
  } else if (element.set == "clients") {
    vm.services = true;
  } else if (element.set == "allowed_networks") {
    vm.allow.push_back(Destination::parse(key.at(1)));
  } else if (element.set == "allowed_ports") {
    vm.allow.push_back(Destination::parse(fmt::format("{}:{}/{}", key.at(1), key.at(3), key.at(2))));
  } else if (element.set == "published") {
    vm.publish.push_back(Publication::parse(fmt::format("{}:{}/{}", key.at(1), element.data.at(1), key.at(0))));
  } else if (element.set == "published_at") {
    vm.publish.push_back(
        Publication::parse(fmt::format("{}:{}:{}/{}", key.at(0), key.at(2), element.data.at(1), key.at(1))));
  }
}

}  // namespace

class Firewall::Impl {
 public:
  Impl(NetworkPolicy policy, std::filesystem::path lock_file)
      : policy_{std::move(policy)}, lock_file_{std::move(lock_file)} {}

  [[nodiscard]] const NetworkPolicy& policy() const { return policy_; }

  bool ensure() {
    const auto lock = take_turn();
    if (is_loaded()) return false;
    context_.run(full_ruleset(policy_, known_vms()));
    return true;
  }

  void add_vm(const VmPolicy& vm) {
    const auto commands = add_vm_commands(policy_, vm);
    const auto lock = take_turn();
    try {
      context_.run(commands);
      return;
    } catch (Error& error) {
      if (error.code() == ErrorCode::NotFound) {
        throw Error{ErrorCode::InvalidState,
                    fmt::format("the firewall of {} is not loaded (was it flushed?)", policy_.bridge.str()),
                    std::current_exception()};
      }
      if (error.code() != ErrorCode::AlreadyExists) throw;
    }
    const auto elements = read_all();
    refuse_taken_ports(vm, elements);
    context_.run(delete_commands(vm.address, elements) + commands);
    forget_connections(vm.address);
  }

  bool remove_vm(Ipv4Address address) {
    const auto lock = take_turn();
    const auto commands = delete_commands(address, read_all());
    if (commands.empty()) return false;
    context_.run(commands);
    forget_connections(address);
    return true;
  }

  bool remove_vm(const VmPolicy& vm) {
    {
      const auto lock = take_turn();
      try {
        context_.run(remove_vm_commands(policy_, vm));
        forget_connections(vm.address);
        return true;
      } catch (const Error& error) {
        if (error.code() != ErrorCode::NotFound) throw;
      }
    }
    return remove_vm(vm.address);
  }

  std::vector<VmPolicy> vms() {
    const auto lock = take_turn();
    return known_vms();
  }

  void reconcile(std::span<const VmPolicy> vms) {
    const auto commands = full_ruleset(policy_, vms);
    const auto lock = take_turn();
    const auto before = known_vms();
    context_.run(commands);
    for (const auto& vm : before) {
      if (std::find(vms.begin(), vms.end(), vm) == vms.end()) forget_connections(vm.address);
    }
  }

  bool remove() {
    const auto lock = take_turn();
    const bool existed = table_exists("inet") || table_exists("bridge");
    if (existed) context_.run(removal_commands(policy_.bridge));
    return existed;
  }

  std::vector<std::string> foreign_forward_drops() {
    std::vector<std::string> found;
    const auto document = json::Value::parse(context_.run("list chains"), "nftables' list");
    for (const auto& object : document.at("nftables").as_array()) {
      const auto chain = object.find("chain");
      if (!chain) continue;
      const auto is = [&](std::string_view key, std::string_view value) {
        const auto member = chain->find(key);
        return member && member->as_string() == value;
      };
      const auto table = chain->at("table").as_string();
      const bool routed = is("family", "ip") || is("family", "inet");
      if (routed && is("hook", "forward") && is("policy", "drop") && table != table_name(policy_.bridge)) {
        found.push_back(fmt::format("chain {} of table {} {}", chain->at("name").as_string(),
                                    chain->at("family").as_string(), table));
      }
    }
    return found;
  }

 private:
  [[nodiscard]] sys::FileLock take_turn() const {
    return sys::FileLock::acquire(lock_file_, sys::FileLock::Mode::Exclusive, Deadline::after(lock_patience),
                                  fmt::format("the firewall ({})", lock_file_.string()));
  }

  /// Called with the turn taken.
  void forget_connections(Ipv4Address address) { conntrack_.forget(address); }

  bool exists(const std::string& list_command) {
    try {
      context_.run(list_command);
      return true;
    } catch (const Error& error) {
      if (error.code() == ErrorCode::NotFound) return false;
      throw;
    }
  }
  bool is_loaded() {
    const auto table = table_name(policy_.bridge);
    return exists(fmt::format("list chain inet {} {}", table, policy_chain(policy_))) &&
           exists(fmt::format("list chain bridge {} from_tap", table));
  }
  bool table_exists(std::string_view family) {
    const auto document = json::Value::parse(context_.run(fmt::format("list tables {}", family)), "nftables' list");
    for (const auto& object : document.at("nftables").as_array()) {
      const auto table = object.find("table");
      if (table && table->at("name").as_string() == table_name(policy_.bridge)) return true;
    }
    return false;
  }

  std::vector<Element> read_all() {
    std::vector<Element> elements;
    for (const auto* family : {"bridge", "inet"}) {
      if (table_exists(family)) {
        read_elements(context_.run(fmt::format("list table {} {}", family, table_name(policy_.bridge))), elements);
      }
    }
    return elements;
  }

  std::vector<VmPolicy> known_vms() {
    std::map<Ipv4Address, VmPolicy> found;
    const auto elements = read_all();
    for (const auto& element : elements) {
      if (element.set != "sources") continue;  // without it a machine cannot send anything: it does not exist
      const auto address = owner_of(element);
      found.emplace(address, VmPolicy{InterfaceName{element.key.at(0)}, {}, address, Egress::None, {}, false, {}});
    }
    for (const auto& element : elements) {
      if (const auto vm = found.find(owner_of(element)); vm != found.end()) apply(element, vm->second);
    }
    std::vector<VmPolicy> vms;
    for (auto& [address, vm] : found) {
      std::sort(vm.allow.begin(), vm.allow.end());
      std::sort(vm.publish.begin(), vm.publish.end());
      vms.push_back(std::move(vm));
    }
    return vms;
  }

  std::string delete_commands(Ipv4Address address, const std::vector<Element>& elements) {
    std::string commands;
    for (const auto& element : elements) {
      if (owner_of(element) == address) commands += delete_command(policy_.bridge, element);
    }
    return commands;
  }

  static void refuse_taken_ports(const VmPolicy& vm, const std::vector<Element>& elements) {
    for (const auto& element : elements) {
      if (element.set != "published" && element.set != "published_at") continue;
      const auto owner = owner_of(element);
      if (owner == vm.address) continue;
      VmPolicy other{vm.tap, {}, owner, Egress::None, {}, false, {}};
      apply(element, other);
      const auto& taken = other.publish.front();
      for (const auto& wanted : vm.publish) {
        if (wanted.host_address == taken.host_address && wanted.host_port == taken.host_port &&
            wanted.protocol == taken.protocol) {
          throw Error{ErrorCode::AlreadyExists,
                      fmt::format("cannot publish {}: the machine with address {} has published that port of the host",
                                  wanted.to_string(), owner.to_string())};
        }
      }
    }
  }

  NetworkPolicy policy_;
  std::filesystem::path lock_file_;
  Context context_;
  /// Guarded by the turn that every caller takes, like the sequence of list and change.
  Conntrack conntrack_;
};

Firewall::Firewall(NetworkPolicy policy, std::filesystem::path lock_file)
    : impl_{std::make_unique<Impl>(std::move(policy), std::move(lock_file))} {}
Firewall::Firewall(Firewall&&) noexcept = default;
Firewall& Firewall::operator=(Firewall&&) noexcept = default;
Firewall::~Firewall() = default;

const NetworkPolicy& Firewall::policy() const { return impl_->policy(); }
bool Firewall::ensure() { return impl_->ensure(); }
void Firewall::add_vm(const VmPolicy& vm) { impl_->add_vm(vm); }
bool Firewall::remove_vm(Ipv4Address address) { return impl_->remove_vm(address); }
bool Firewall::remove_vm(const VmPolicy& vm) { return impl_->remove_vm(vm); }
std::vector<VmPolicy> Firewall::vms() { return impl_->vms(); }
void Firewall::reconcile(std::span<const VmPolicy> vms) { impl_->reconcile(vms); }
bool Firewall::remove() { return impl_->remove(); }
std::vector<std::string> Firewall::foreign_forward_drops() { return impl_->foreign_forward_drops(); }

}  // namespace fireclaw::net
