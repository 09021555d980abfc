#include "net/firewall/firewall.hpp"

#include <fmt/format.h>
#include <linux/netfilter.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <iterator>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

#include "fireclaw/error.hpp"
#include "json/json.hpp"
#include "net/firewall/conntrack.hpp"
#include "net/firewall/element_batch.hpp"
#include "net/firewall/elements.hpp"
#include "net/firewall/foreign.hpp"
#include "net/firewall/nftables.hpp"
#include "net/firewall/openings.hpp"
#include "net/firewall/packet_log.hpp"
#include "net/firewall/ruleset.hpp"
#include "net/links/netlink.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"

namespace fireclaw::net {
namespace {

constexpr std::chrono::seconds lock_patience{30};
constexpr unsigned address_bits = 32;

/// Whether a machine is in no set but those that hold each machine: it can come and go without libnftables.
bool is_plain(const VmPolicy& vm) { return vm.allow.empty() && vm.publish.empty() && vm.mib_per_second == 0; }

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
    // libnftables ends the process if the kernel has no netfilter netlink; this throws.
    static_cast<void>(Openings::open_socket());
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

  /// What run() would throw; changes nothing.
  void try_out(const std::string& commands) {
    const std::scoped_lock lock{libnftables_mutex};
    nft_.ctx_set_dry_run(context_, true);
    const int result = nft_.run_cmd_from_buffer(context_, commands.c_str());
    nft_.ctx_set_dry_run(context_, false);
    std::string errors = nft_.ctx_get_error_buffer(context_);
    if (result != 0) throw to_error(std::move(errors));
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

}  // namespace

const NftLibrary& NftLibrary::get() {
  static const NftLibrary library;
  return library;
}

void preload_firewall() noexcept {
  try {
    static_cast<void>(NftLibrary::get());
  } catch (const std::exception&) {
    return;  // Firewall says so
  }
}

class Firewall::Impl {
 public:
  Impl(NetworkPolicy policy, std::filesystem::path lock_file)
      : policy_{std::move(policy)}, lock_file_{std::move(lock_file)} {
    policy_.log_refusals = policy_.log_refusals && PacketLog::is_available();
  }

  [[nodiscard]] const NetworkPolicy& policy() const { return policy_; }
  [[nodiscard]] int socket() const { return socket_.get(); }

  void try_out() {
    const auto lock = take_turn();
    static_cast<void>(conntrack());
    context().try_out(full_ruleset(policy_, {}));
  }

  bool ensure() {
    const auto lock = take_turn();
    if (is_loaded()) return false;
    context().run(full_ruleset(policy_, known_vms()));
    return true;
  }

  void add_vm(const VmPolicy& vm) {
    const auto commands = add_vm_commands(policy_, vm);
    const auto lock = take_turn();
    if (is_plain(vm) ? add_plain(vm, commands) : add_by_text(commands)) return;
    const auto elements = read_all();
    refuse_taken_ports(vm, elements);
    context().run(delete_commands(policy_.bridge, vm.address, elements) + commands);
    close_named(vm.address);
    forget_connections(vm.address);
  }

  void change_vm(const VmPolicy& before, const VmPolicy& after, std::span<const Ipv4Network> closed, bool names) {
    const auto lock = take_turn();
    const auto unknown = [&](std::exception_ptr cause) {
      return Error{ErrorCode::InvalidState,
                   fmt::format("the firewall of {} does not know the machine at {} as it was (was it flushed?)",
                               policy_.bridge.str(), after.address.to_string()),
                   std::move(cause)};
    };
    // What is added for a machine that is gone, the next holder of its address would have.
    const auto known = known_vms();
    if (std::ranges::find(known, after.address, &VmPolicy::address) == known.end()) throw unknown(nullptr);
    try {
      if (const auto commands = change_vm_commands(policy_, before, after); !commands.empty()) context().run(commands);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::NotFound && error.code() != ErrorCode::AlreadyExists) throw;
      throw unknown(std::current_exception());
    }
    conntrack().forget(after.address, closed);
    if (!names) return;
    close_named(after.address);
    if (after.egress != Egress::Allowlist) return;
    // Openings expire, and connections outlive them: what stays is what the machine may reach without names.
    auto kept = after.allow;
    kept.push_back({Ipv4Network{policy_.gateway, address_bits}, {}, {}});
    conntrack().forget_others(after.address, kept);
  }

  bool remove_vm(Ipv4Address address) {
    const auto lock = take_turn();
    const auto elements = read_all();
    const bool known = std::ranges::any_of(elements, [&](const Element& element) { return element.owner == address; });
    if (known) {
      if (const auto commands = delete_commands(policy_.bridge, address, elements); !commands.empty())
        context().run(commands);
      close_named(address);
    }
    forget_connections(address);
    return known;
  }

  bool remove_vm(const VmPolicy& vm) {
    {
      const auto lock = take_turn();
      try {
        if (!is_plain(vm) || !remove_plain(vm)) context().run(remove_vm_commands(policy_, vm));
        // From here on no name opens anything to it.
        if (vm.egress == Egress::Allowlist) close_named(vm.address);
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
    context().run(commands);
    for (const auto& vm : before) {
      if (std::find(vms.begin(), vms.end(), vm) == vms.end()) forget_connections(vm.address);
    }
  }

  bool remove() {
    const auto lock = take_turn();
    const bool existed = table_exists("inet") || table_exists("bridge");
    if (existed) context().run(removal_commands(policy_.bridge));
    return existed;
  }

  std::vector<Obstacle> foreign_drops() {
    std::vector<Obstacle> found;
    const auto lock = take_turn();
    for (const auto& chain : read_foreign_chains(context().run("list chains"), table_name(policy_.bridge))) {
      const auto listing = context().run(fmt::format("list chain {}", chain.path()));
      if (auto obstacle = judge_foreign_chain(chain, listing, policy_.bridge)) found.push_back(*std::move(obstacle));
    }
    return found;
  }

 private:
  [[nodiscard]] sys::FileLock take_turn() const {
    return sys::FileLock::acquire(lock_file_, sys::FileLock::Mode::Exclusive, Deadline::after(lock_patience),
                                  fmt::format("the firewall ({})", lock_file_.string()));
  }

  /// Called with the turn taken. The rules note who has connections: looking through the kernel's table of them takes
  /// milliseconds, and most short-lived machines never made one.
  void forget_connections(Ipv4Address address) {
    const auto key = ElementKey{}.address(address);
    // A transaction that fails takes the kernel 6 to 25 ms.
    if (find_element(socket_.get(), policy_.bridge, NFPROTO_INET, "talkers", key) == ENOENT) return;
    ElementBatch batch{policy_.bridge};
    batch.remove(NFPROTO_INET, "talkers", key);
    // If that fails the machine is looked for among the connections all the same.
    static_cast<void>(batch.run(socket_.get()));
    conntrack().forget(address);
  }

  /// These are called with the turn taken. The first two return false if something of the machine, or of another at its
  /// address, is there.
  bool add_by_text(const std::string& commands) {
    try {
      context().run(commands);
      return true;
    } catch (Error& error) {
      if (error.code() == ErrorCode::AlreadyExists) return false;
      if (error.code() != ErrorCode::NotFound) throw;
      throw Error{ErrorCode::InvalidState,
                  fmt::format("the firewall of {} is not loaded (was it flushed?)", policy_.bridge.str()),
                  std::current_exception()};
    }
  }
  bool add_plain(const VmPolicy& vm, const std::string& commands) {
    const auto key = ElementKey{}.address(vm.address);
    ElementBatch batch{policy_.bridge};
    batch.add(NFPROTO_BRIDGE, "sources", source_key(vm));
    batch.add_goto(NFPROTO_INET, "egress", key, egress_chain(vm.egress));
    for (const auto* set : address_sets(vm)) batch.add(NFPROTO_INET, set, key);
    const int refused = batch.run(socket_.get());
    if (refused == EEXIST) return false;
    // Tried again by libnftables, whose error says why.
    return refused == 0 || add_by_text(commands);
  }
  /// False if something of it is missing.
  bool remove_plain(const VmPolicy& vm) {
    const auto key = ElementKey{}.address(vm.address);
    ElementBatch batch{policy_.bridge};
    batch.remove(NFPROTO_BRIDGE, "sources", source_key(vm));
    batch.remove(NFPROTO_INET, "egress", key);
    for (const auto* set : address_sets(vm)) batch.remove(NFPROTO_INET, set, key);
    return batch.run(socket_.get()) == 0;
  }

  /// Called with the turn taken. An element may expire meanwhile.
  void close_named(Ipv4Address address) {
    for (const auto* set : {"named_addresses", "named_ports"}) {
      const auto listing = context().run(fmt::format("list set inet {} {}", table_name(policy_.bridge), set));
      std::vector<std::string> commands;
      for (const auto& element : read_elements(listing)) {
        if (element.owner != address) continue;
        commands.push_back(delete_command(policy_.bridge, element));
      }
      // All at once, since each transaction takes milliseconds; one by one if some have expired meanwhile.
      if (commands.empty() || succeeds(fmt::format("{}", fmt::join(commands, "")))) continue;
      for (const auto& command : commands) succeeds(command);
    }
  }

  /// False if what the commands speak of does not exist.
  bool succeeds(const std::string& commands) {
    try {
      context().run(commands);
      return true;
    } catch (const Error& error) {
      if (error.code() == ErrorCode::NotFound) return false;
      throw;
    }
  }
  bool is_loaded() {
    return find_chain(socket_.get(), policy_.bridge, NFPROTO_INET, policy_chain(policy_)) == 0 &&
           find_chain(socket_.get(), policy_.bridge, NFPROTO_BRIDGE, "from_tap") == 0;
  }
  bool table_exists(std::string_view family) {
    const auto document = json::Value::parse(context().run(fmt::format("list tables {}", family)), "nftables' list");
    for (const auto& object : document.at("nftables").as_array()) {
      const auto table = object.find("table");
      if (table && table->at("name").as_string() == table_name(policy_.bridge)) return true;
    }
    return false;
  }

  std::vector<Element> read_all() {
    std::vector<Element> all;
    for (const auto* family : {"bridge", "inet"}) {
      if (!table_exists(family)) continue;
      auto elements = read_elements(context().run(fmt::format("list table {} {}", family, table_name(policy_.bridge))));
      std::move(elements.begin(), elements.end(), std::back_inserter(all));
    }
    return all;
  }

  std::vector<VmPolicy> known_vms() { return vms_of(read_all()); }

  static void refuse_taken_ports(const VmPolicy& vm, const std::vector<Element>& elements) {
    for (const auto& element : elements) {
      const auto taken = publication_of(element);
      if (!taken || element.owner == vm.address) continue;
      for (const auto& wanted : vm.publish) {
        if (wanted.host_address == taken->host_address && wanted.host_port == taken->host_port &&
            wanted.protocol == taken->protocol) {
          throw wanted.taken_by(element.owner.to_string());
        }
      }
    }
  }

  Context& context() {
    if (!context_) context_.emplace();
    return *context_;
  }

  Conntrack& conntrack() {
    if (!conntrack_) conntrack_.emplace();
    return *conntrack_;
  }

  NetworkPolicy policy_;
  std::filesystem::path lock_file_;
  /// Of the network namespace that the object was made in. The other sockets are of the one in which they are first
  /// used, which must be the same.
  sys::Fd socket_ = Openings::open_socket();
  std::optional<Context> context_;
  /// Guarded by the turn that every caller takes, like the sequence of list and change.
  std::optional<Conntrack> conntrack_;
};

Firewall::Firewall(NetworkPolicy policy, std::filesystem::path lock_file)
    : impl_{std::make_unique<Impl>(std::move(policy), std::move(lock_file))} {}
Firewall::Firewall(Firewall&&) noexcept = default;
Firewall& Firewall::operator=(Firewall&&) noexcept = default;
Firewall::~Firewall() = default;

const NetworkPolicy& Firewall::policy() const { return impl_->policy(); }
int Firewall::socket() const { return impl_->socket(); }
void Firewall::try_out() { impl_->try_out(); }
bool Firewall::ensure() { return impl_->ensure(); }
void Firewall::add_vm(const VmPolicy& vm) { impl_->add_vm(vm); }
void Firewall::change_vm(const VmPolicy& before, const VmPolicy& after, std::span<const Ipv4Network> closed,
                         bool names) {
  impl_->change_vm(before, after, closed, names);
}
bool Firewall::remove_vm(Ipv4Address address) { return impl_->remove_vm(address); }
bool Firewall::remove_vm(const VmPolicy& vm) { return impl_->remove_vm(vm); }
std::vector<VmPolicy> Firewall::vms() { return impl_->vms(); }
void Firewall::reconcile(std::span<const VmPolicy> vms) { impl_->reconcile(vms); }
bool Firewall::remove() { return impl_->remove(); }
std::vector<Obstacle> Firewall::foreign_drops() { return impl_->foreign_drops(); }

}  // namespace fireclaw::net
