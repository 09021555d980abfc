#include "net/firewall/element_batch.hpp"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/in.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <memory>
#include <new>
#include <utility>

#include "net/firewall/ruleset.hpp"

namespace fireclaw::net {
namespace {

constexpr std::size_t field_bytes = 4;

struct MessageDeleter {
  void operator()(nl_msg* message) const noexcept { nlmsg_free(message); }
};
using Message = std::unique_ptr<nl_msg, MessageDeleter>;

void require_room(int result) {
  if (result < 0) throw std::bad_alloc{};
}

Message make_message(int type, int flags, std::uint8_t family, std::uint16_t resource = 0) {
  Message made{nlmsg_alloc_simple(type, NLM_F_REQUEST | flags)};
  nfgenmsg header{};
  header.nfgen_family = family;
  header.version = NFNETLINK_V0;
  header.res_id = htons(resource);
  if (!made) throw std::bad_alloc{};
  require_room(nlmsg_append(made.get(), &header, sizeof header, NLMSG_ALIGNTO));
  return made;
}

int table_message(int verb) { return NFNL_SUBSYS_NFTABLES << 8 | verb; }

void nest(nl_msg* message, int attribute, const auto& inside) {
  auto* const start = nla_nest_start(message, attribute | NLA_F_NESTED);
  if (start == nullptr) throw std::bad_alloc{};
  inside();
  nla_nest_end(message, start);
}

std::string_view text_of(const Message& message) {
  const auto* const header = nlmsg_hdr(message.get());
  return {reinterpret_cast<const char*>(header), NLMSG_ALIGN(header->nlmsg_len)};
}

void put_data(nl_msg* message, int attribute, const std::string& bytes) {
  nest(message, attribute,
       [&] { require_room(nla_put(message, NFTA_DATA_VALUE, static_cast<int>(bytes.size()), bytes.data())); });
}

void put_goto(nl_msg* message, const std::string& chain) {
  nest(message, NFTA_SET_ELEM_DATA, [&] {
    nest(message, NFTA_DATA_VERDICT, [&] {
      require_room(nla_put_u32(message, NFTA_VERDICT_CODE, htonl(static_cast<std::uint32_t>(NFT_GOTO))));
      require_room(nla_put_string(message, NFTA_VERDICT_CHAIN, chain.c_str()));
    });
  });
}

/// Takes out what was there before: the socket is an engine's too, which can have asked by it. True once it is empty.
bool drain(int socket) {
  constexpr int most_reads = 10'000;
  for (int reads = 0; reads < most_reads; ++reads) {
    char first = 0;
    if (::recv(socket, &first, sizeof first, MSG_DONTWAIT | MSG_TRUNC) < 0 && errno == EAGAIN) return true;
  }
  return false;
}

/// 0, or the first error in the answers, which the kernel has given when send() returns.
int ask(int socket, std::string_view messages) {
  constexpr std::size_t most_answers = std::size_t{64} << 10;
  if (!drain(socket)) return EBUSY;
  if (::send(socket, messages.data(), messages.size(), 0) < 0) return errno;
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

}  // namespace

ElementKey& ElementKey::bytes(const void* data, std::size_t size) {
  text_.append(static_cast<const char*>(data), size);
  text_.append((field_bytes - size % field_bytes) % field_bytes, '\0');
  return *this;
}

ElementKey& ElementKey::address(Ipv4Address address) {
  const auto bits = htonl(address.bits());
  return bytes(&bits, sizeof bits);
}

ElementKey& ElementKey::protocol(Protocol protocol) {
  const std::uint8_t number = protocol == Protocol::Tcp ? IPPROTO_TCP : IPPROTO_UDP;
  return bytes(&number, sizeof number);
}

ElementKey& ElementKey::port(std::uint16_t port) {
  const auto number = htons(port);
  return bytes(&number, sizeof number);
}

ElementKey& ElementKey::interface(const InterfaceName& name) {
  std::array<char, 16> padded{};
  name.str().copy(padded.data(), padded.size() - 1);
  return bytes(padded.data(), padded.size());
}

ElementKey source_key(const VmPolicy& vm) {
  ElementKey key;
  key.interface(vm.tap).bytes(vm.mac.bytes().data(), vm.mac.bytes().size()).address(vm.address);
  return key;
}

ElementBatch::ElementBatch(const InterfaceName& bridge) : table_{table_name(bridge)} { mark(NFNL_MSG_BATCH_BEGIN); }

void ElementBatch::mark(int type) { bytes_ += text_of(make_message(type, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES)); }

void ElementBatch::add(std::uint8_t family, const char* set, const ElementKey& key,
                       std::optional<std::chrono::milliseconds> timeout) {
  element(NFT_MSG_NEWSETELEM, NLM_F_CREATE, family, set, key, {timeout, nullptr});
}

void ElementBatch::add_goto(std::uint8_t family, const char* map, const ElementKey& key, const std::string& chain) {
  element(NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, family, map, key, {std::nullopt, &chain});
}

void ElementBatch::remove(std::uint8_t family, const char* set, const ElementKey& key) {
  element(NFT_MSG_DELSETELEM, 0, family, set, key, {});
}

void ElementBatch::element(int verb, int flags, std::uint8_t family, const char* set, const ElementKey& key,
                           const Value& value) {
  const auto made = make_message(table_message(verb), flags, family);
  auto* const raw = made.get();
  require_room(nla_put_string(raw, NFTA_SET_ELEM_LIST_TABLE, table_.c_str()));
  require_room(nla_put_string(raw, NFTA_SET_ELEM_LIST_SET, set));
  nest(raw, NFTA_SET_ELEM_LIST_ELEMENTS, [&] {
    nest(raw, NFTA_LIST_ELEM, [&] {
      put_data(raw, NFTA_SET_ELEM_KEY, key.text());
      if (value.chain != nullptr) put_goto(raw, *value.chain);
      if (!value.timeout) return;
      const auto ms = htobe64(static_cast<std::uint64_t>(value.timeout->count()));
      require_room(nla_put(raw, NFTA_SET_ELEM_TIMEOUT, sizeof ms, &ms));
    });
  });
  bytes_ += text_of(made);
}

int ElementBatch::run(int socket) {
  mark(NFNL_MSG_BATCH_END);
  const auto messages = std::exchange(bytes_, {});
  mark(NFNL_MSG_BATCH_BEGIN);
  return ask(socket, messages);
}

int find_element(int socket, const InterfaceName& bridge, std::uint8_t family, const char* set, const ElementKey& key) {
  const auto made = make_message(table_message(NFT_MSG_GETSETELEM), NLM_F_ACK, family);
  auto* const raw = made.get();
  require_room(nla_put_string(raw, NFTA_SET_ELEM_LIST_TABLE, table_name(bridge).c_str()));
  require_room(nla_put_string(raw, NFTA_SET_ELEM_LIST_SET, set));
  nest(raw, NFTA_SET_ELEM_LIST_ELEMENTS,
       [&] { nest(raw, NFTA_LIST_ELEM, [&] { put_data(raw, NFTA_SET_ELEM_KEY, key.text()); }); });
  return ask(socket, text_of(made));
}

int find_chain(int socket, const InterfaceName& bridge, std::uint8_t family, const std::string& chain) {
  const auto made = make_message(table_message(NFT_MSG_GETCHAIN), NLM_F_ACK, family);
  require_room(nla_put_string(made.get(), NFTA_CHAIN_TABLE, table_name(bridge).c_str()));
  require_room(nla_put_string(made.get(), NFTA_CHAIN_NAME, chain.c_str()));
  return ask(socket, text_of(made));
}

}  // namespace fireclaw::net
