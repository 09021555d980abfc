#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/address.hpp"
#include "net/interface_name.hpp"
#include "net/policy.hpp"

namespace fireclaw::net {

// Changes to a loaded firewall that each machine needs, made with only a netfilter socket: libnftables takes longer
// to load and to read the tables than the kernel takes for the change.

/// A key of several fields, each padded to four bytes, as nftables has it.
class ElementKey {
 public:
  ElementKey& bytes(const void* data, std::size_t size);
  ElementKey& address(Ipv4Address address);
  ElementKey& protocol(Protocol protocol);
  ElementKey& port(std::uint16_t port);
  ElementKey& interface(const InterfaceName& name);
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
};

/// The machine's key in the set `sources`.
ElementKey source_key(const VmPolicy& vm);

/// Changes to the elements of one bridge's tables. The kernel makes all or none. `family` is NFPROTO_INET or
/// NFPROTO_BRIDGE, the table's.
class ElementBatch {
 public:
  explicit ElementBatch(const InterfaceName& bridge);

  /// An element that is there stays as it is.
  void add(std::uint8_t family, const char* set, const ElementKey& key,
           std::optional<std::chrono::milliseconds> timeout = {});
  /// Maps the key to a chain. run() returns EEXIST if the map has the key.
  void add_goto(std::uint8_t family, const char* map, const ElementKey& key, const std::string& chain);
  void remove(std::uint8_t family, const char* set, const ElementKey& key);
  /// 0, or the error number of the first change that was refused. Empties the batch.
  int run(int socket);

 private:
  struct Value {
    std::optional<std::chrono::milliseconds> timeout;
    const std::string* chain = nullptr;
  };
  void mark(int type);
  void element(int verb, int flags, std::uint8_t family, const char* set, const ElementKey& key, const Value& value);

  std::string table_;
  std::string bytes_;
};

/// 0 if the element is there, ENOENT if not, or another error number.
int find_element(int socket, const InterfaceName& bridge, std::uint8_t family, const char* set, const ElementKey& key);
/// The same for a chain.
int find_chain(int socket, const InterfaceName& bridge, std::uint8_t family, const std::string& chain);

}  // namespace fireclaw::net
