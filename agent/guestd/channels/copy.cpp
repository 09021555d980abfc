#include <cerrno>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "channels/channel.hpp"
#include "guest/tree/writer.hpp"

namespace fireclaw::guestd {
namespace {

using guest::Failure;
using guest::TreeReader;
using guest::TreeWriter;
using wire::Type;

/// Files from the host.
class PutChannel final : public Channel {
 public:
  PutChannel(Outlet& outlet, std::uint32_t id, const wire::Put& request, TreeWriter::Options options)
      : Channel{outlet, id}, writer_{outlet.machine().files(), request.target, request.name, request.exact, options} {}

  void refuse(const Failure& failed) { send_done(failed.error, failed.message); }

  bool handle(const wire::Frame& frame) override {
    std::optional<Failure> failed;
    if (frame.type == Type::Data) {
      failed = writer_.data(frame.payload);
    } else if (frame.type == Type::Entry) {
      wire::Entry entry;
      if (!wire::decode(frame.payload, entry)) return false;
      failed = writer_.entry(entry);
    } else if (frame.type == Type::Hole) {
      wire::Hole hole;
      if (!wire::decode(frame.payload, hole)) return false;
      failed = writer_.hole(hole.bytes);
    } else if (frame.type == Type::Leave) {
      failed = writer_.leave();
    } else if (frame.type == Type::PutEnd) {
      failed = writer_.finish();
      if (!failed) send_done(0, {});
    } else {
      return false;
    }
    if (failed) {
      send_done(failed->error, failed->message);
    } else if (wire::is_metered(frame.type)) {
      consumed(wire::cost(frame.payload.size()));
    }
    return true;
  }

 private:
  TreeWriter writer_;
};

/// Files to the host.
class GetChannel final : public Channel {
 public:
  GetChannel(Outlet& outlet, std::uint32_t id, const wire::Get& request)
      : Channel{outlet, id}, reader_{outlet.machine().files(), request.source, request.follow} {}

  bool handle(const wire::Frame&) override { return false; }

  bool pump() override {
    if (finished_ || !outlet_.has_room() || allowance_ < wire::cost(piece_bytes)) return false;
    TreeReader::Item item;
    char* room = outlet_.begin_bulk(piece_bytes);
    if (const std::optional<Failure> failed = reader_.next(item, room, piece_bytes)) {
      send_done(failed->error, failed->message);
      return true;
    }
    switch (item.kind) {
      case TreeReader::Item::Kind::Data:
        allowance_ -= wire::cost(item.bytes);
        outlet_.end_bulk(Type::Data, id_, item.bytes);
        break;
      case TreeReader::Item::Kind::Hole: send_metered(Type::Hole, wire::encode(wire::Hole{item.bytes})); break;
      case TreeReader::Item::Kind::Entry: send_metered(Type::Entry, wire::encode(item.entry)); break;
      case TreeReader::Item::Kind::Leave: send_metered(Type::Leave, {}); break;
      case TreeReader::Item::Kind::End:
        if (reader_.skipped() > 0) send(Type::Skipped, wire::encode(wire::Skipped{reader_.skipped()}));
        send_done(0, {});
        break;
    }
    return true;
  }

 private:
  void send_metered(Type type, std::string_view payload) {
    allowance_ -= wire::cost(payload.size());
    send(type, payload);
  }

  /// Also more than any entry takes.
  static constexpr std::size_t piece_bytes = std::size_t{32} << 10;
  TreeReader reader_;
};

}  // namespace

std::unique_ptr<Channel> make_put_channel(Outlet& outlet, std::uint32_t id, const wire::Put& request) {
  TreeWriter::Options options;
  std::optional<Failure> unknown;
  if (!request.owner.empty()) {
    options.owner = TreeWriter::Owner{};
    unknown = outlet.machine().find_owner(request.owner, *options.owner);
  }
  auto channel = std::make_unique<PutChannel>(outlet, id, request, options);
  if (unknown) channel->refuse(*unknown);
  return channel;
}

std::unique_ptr<Channel> make_get_channel(Outlet& outlet, std::uint32_t id, const wire::Get& request) {
  return std::make_unique<GetChannel>(outlet, id, request);
}

}  // namespace fireclaw::guestd
