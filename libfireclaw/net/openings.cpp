#include "net/openings.hpp"

#include <arpa/inet.h>
#include <endian.h>
#include <fmt/format.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/in.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <string>

#include "fireclaw/error.hpp"
#include "net/ruleset.hpp"

namespace fireclaw::net {
namespace {

constexpr std::size_t field_bytes = 4;

struct MessageDeleter {
  void operator()(nl_msg* message) const noexcept { nlmsg_free(message); }
};
using Message = std::unique_ptr<nl_msg, MessageDeleter>;

void fit(int result) {
  if (result < 0) throw std::bad_alloc{};
}

/// A key of several fields, each filled up to whole words, as nftables has it.
class Key {
 public:
  Key& bytes(const void* data, std::size_t size) {
    text_.append(static_cast<const char*>(data), size);
    text_.append((field_bytes - size % field_bytes) % field_bytes, '\0');
    return *this;
  }
  Key& address(Ipv4Address address) {
    const auto bits = htonl(address.bits());
    return bytes(&bits, sizeof bits);
  }
  Key& protocol(Protocol protocol) {
    const std::uint8_t number = protocol == Protocol::Tcp ? IPPROTO_TCP : IPPROTO_UDP;
    return bytes(&number, sizeof number);
  }
  Key& port(std::uint16_t port) {
    const auto number = htons(port);
    return bytes(&number, sizeof number);
  }
  Key& interface(const InterfaceName& name) {
    std::array<char, 16> padded{};
    name.str().copy(padded.data(), padded.size() - 1);
    return bytes(padded.data(), padded.size());
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
};

/// The changes of one transaction.
class Batch {
 public:
  explicit Batch(std::string table) : table_{std::move(table)} { mark(NFNL_MSG_BATCH_BEGIN); }

  void add(std::uint8_t family, const char* set, const Key& key,
           std::optional<std::chrono::milliseconds> timeout = {}) {
    element(NFT_MSG_NEWSETELEM, NLM_F_CREATE, family, set, key, timeout);
  }
  void remove(std::uint8_t family, const char* set, const Key& key) {
    element(NFT_MSG_DELSETELEM, 0, family, set, key, {});
  }
  std::string finish() {
    mark(NFNL_MSG_BATCH_END);
    return std::move(bytes_);
  }

 private:
  Message message(int type, int flags, std::uint8_t family, std::uint16_t resource) const {
    Message made{nlmsg_alloc_simple(type, NLM_F_REQUEST | flags)};
    nfgenmsg header{};
    header.nfgen_family = family;
    header.version = NFNETLINK_V0;
    header.res_id = htons(resource);
    if (!made) throw std::bad_alloc{};
    fit(nlmsg_append(made.get(), &header, sizeof header, NLMSG_ALIGNTO));
    return made;
  }
  void append(const Message& made) {
    const auto* const header = nlmsg_hdr(made.get());
    bytes_.append(reinterpret_cast<const char*>(header), NLMSG_ALIGN(header->nlmsg_len));
  }
  void mark(int type) { append(message(type, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES)); }
  void element(int verb, int flags, std::uint8_t family, const char* set, const Key& key,
               std::optional<std::chrono::milliseconds> timeout) {
    const auto made = message(NFNL_SUBSYS_NFTABLES << 8 | verb, flags, family, 0);
    auto* const raw = made.get();
    fit(nla_put_string(raw, NFTA_SET_ELEM_LIST_TABLE, table_.c_str()));
    fit(nla_put_string(raw, NFTA_SET_ELEM_LIST_SET, set));
    const auto nest = [&](int attribute, const auto& inside) {
      auto* const start = nla_nest_start(raw, attribute | NLA_F_NESTED);
      if (start == nullptr) throw std::bad_alloc{};
      inside();
      nla_nest_end(raw, start);
    };
    nest(NFTA_SET_ELEM_LIST_ELEMENTS, [&] {
      nest(NFTA_LIST_ELEM, [&] {
        nest(NFTA_SET_ELEM_KEY,
             [&] { fit(nla_put(raw, NFTA_DATA_VALUE, static_cast<int>(key.text().size()), key.text().data())); });
        if (!timeout) return;
        const auto ms = htobe64(static_cast<std::uint64_t>(timeout->count()));
        fit(nla_put(raw, NFTA_SET_ELEM_TIMEOUT, sizeof ms, &ms));
      });
    });
    append(made);
  }

  std::string table_;
  std::string bytes_;
};

/// 0, or the error number of the first change that was refused: of others nothing is said. The kernel has answered when
/// the batch is sent.
int run(int socket, const std::string& batch) {
  constexpr std::size_t most_answers = std::size_t{64} << 10;
  if (::send(socket, batch.data(), batch.size(), 0) < 0) return errno;
  int refused = 0;
  std::array<char, most_answers> answers;
  for (;;) {
    const auto got = ::recv(socket, answers.data(), answers.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno == EAGAIN ? refused : errno;
    auto left = static_cast<int>(got);
    for (auto* answer = reinterpret_cast<nlmsghdr*>(answers.data()); nlmsg_ok(answer, left);
         answer = nlmsg_next(answer, &left)) {
      if (answer->nlmsg_type != NLMSG_ERROR) continue;
      const auto error = -static_cast<const nlmsgerr*>(nlmsg_data(answer))->error;
      if (refused == 0) refused = error;
    }
  }
}

Key key_of(const VmPolicy& vm) {
  Key key;
  key.interface(vm.tap).bytes(vm.mac.bytes().data(), vm.mac.bytes().size()).address(vm.address);
  return key;
}

}  // namespace

sys::Fd Openings::open_socket() {
  sys::Fd socket{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER)};
  if (socket.get() < 0) {
    throw Error{ErrorCode::Unsupported, fmt::format("cannot open a netfilter socket: {}", std::strerror(errno))};
  }
  return socket;
}

bool Openings::open(const VmPolicy& vm, std::span<const Destination> destinations, std::chrono::milliseconds lifetime) {
  if (destinations.empty()) return true;
  Batch batch{table_name(bridge_)};
  // Fails if the machine is not there, and with it the whole transaction.
  batch.remove(NFPROTO_BRIDGE, "sources", key_of(vm));
  batch.add(NFPROTO_BRIDGE, "sources", key_of(vm));
  // An element that is there keeps its timeout: it is taken out, and comes back with the new one.
  const auto renew = [&](const char* set, const Key& key) {
    batch.add(NFPROTO_INET, set, key, lifetime);
    batch.remove(NFPROTO_INET, set, key);
    batch.add(NFPROTO_INET, set, key, lifetime);
  };
  for (const auto& destination : destinations) {
    const auto address = destination.network.base();
    if (!destination.port) {
      renew("named_addresses", Key{}.address(vm.address).address(address));
      continue;
    }
    for (const auto protocol : {Protocol::Tcp, Protocol::Udp}) {
      if (destination.protocol.value_or(protocol) != protocol) continue;
      renew("named_ports", Key{}.address(vm.address).address(address).protocol(protocol).port(*destination.port));
    }
  }
  const int refused = run(socket_.get(), batch.finish());
  if (refused == 0) return true;
  if (refused == ENOENT) return false;
  throw Error{refused == EPERM ? ErrorCode::PermissionDenied : ErrorCode::Io,
              fmt::format("cannot open what a name was answered with: {}", std::strerror(refused))};
}

}  // namespace fireclaw::net
