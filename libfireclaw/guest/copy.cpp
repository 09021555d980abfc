#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "base/scope.hpp"
#include "guest/session_impl.hpp"
#include "guest/tree/tree.hpp"
#include "guest/tree/untrusted.hpp"

namespace fireclaw::guest {
namespace {

using wire::Type;

constexpr std::size_t piece_bytes = std::size_t{32} << 10;

constexpr Base host_files{AT_FDCWD, false};

[[noreturn]] void throw_local(const Failure& failed, std::string_view what) {
  // EPROTO: not the host's files are at fault but what the guest said about its own.
  Error error = failed.error == EPROTO
                    ? Error{ErrorCode::Guest, fmt::format("the guest broke the protocol: {}", failed.message)}
                    : Error{sys::system_error(failed.error, {}).code(), failed.message};
  error.add_context(std::string{what});
  throw error;
}

/// One copy: a channel with a deadline.
class Copy {
 public:
  Copy(Link& link, Type type, std::string_view request, Deadline deadline, const std::stop_token& stop,
       std::string what)
      : link_{link},
        deadline_{deadline},
        stop_{stop},
        what_{std::move(what)},
        channel_{link.open_channel(type, request, what_)} {}
  Copy(const Copy&) = delete;
  Copy& operator=(const Copy&) = delete;
  ~Copy() { link_.abandon(channel_); }

  void send(Type type, std::string_view payload = {}) {
    while (wire::is_metered(type) && link_.allowance(channel_) < wire::cost(payload.size())) {
      await();
      expect_nothing();
    }
    link_.send(channel_, type, payload);
  }
  /// Bulk data of any length.
  void send_content(std::string_view content) {
    while (!content.empty()) {
      send(Type::Data, content.substr(0, piece_bytes));
      content.remove_prefix(std::min(content.size(), piece_bytes));
    }
  }

  /// The next thing the guest sends; nullopt once it says that this was all.
  std::optional<Link::Channel::Item> next() {
    while (items_.empty()) {
      await();
      items_ = link_.take(channel_);
    }
    Link::Channel::Item item = std::move(items_.front());
    items_.pop_front();
    if (item.type == Type::Done) {
      check_done(item);
      return {};
    }
    link_.consumed(channel_, item);
    return item;
  }
  /// Between steps that do not wait.
  void check() const {
    deadline_.check(what_);
    if (stop_.stop_requested()) throw Error{ErrorCode::Cancelled, fmt::format("{} was cancelled", what_)};
  }
  void finish() { link_.finish(channel_, deadline_, stop_, what_); }

  [[nodiscard]] const std::string& what() const { return what_; }
  [[noreturn]] void refuse(std::string_view how) const {
    throw Error{ErrorCode::Guest, fmt::format("{}: the guest broke the protocol: {}", what_, how)};
  }

 private:
  void await() { link_.wait(channel_, deadline_, stop_, what_); }
  /// While sending: an answer now can only be a failure.
  void expect_nothing() {
    for (const Link::Channel::Item& item : link_.take(channel_)) {
      if (item.type == Type::Done) check_done(item);
      refuse("an answer before the question was over");
    }
  }
  void check_done(const Link::Channel::Item& item) {
    wire::Done done;
    if (!wire::decode(item.payload, done)) refuse("its answer makes no sense");
    if (done.error != 0) throw guest_error(done.error, fmt::format("{}: {}", what_, done.message));
  }

  Link& link_;
  const Deadline deadline_;
  const std::stop_token stop_;
  const std::string what_;
  const Link::ChannelPtr channel_;
  std::deque<Link::Channel::Item> items_;
};

void send_item(Copy& copy, const TreeReader::Item& item, const std::string& buffer, CopyResult& copied) {
  switch (item.kind) {
    case TreeReader::Item::Kind::Entry:
      copy.send(Type::Entry, wire::encode(item.entry));
      if (item.entry.kind != wire::EntryKind::Folder) ++copied.files;
      break;
    case TreeReader::Item::Kind::Data:
      copy.send(Type::Data, {buffer.data(), static_cast<std::size_t>(item.bytes)});
      copied.bytes += item.bytes;
      break;
    case TreeReader::Item::Kind::Hole:
      copy.send(Type::Hole, wire::encode(wire::Hole{item.bytes}));
      copied.bytes += item.bytes;
      break;
    case TreeReader::Item::Kind::Leave: copy.send(Type::Leave); break;
    case TreeReader::Item::Kind::End: break;
  }
}

std::optional<Failure> write_item(Copy& copy, TreeWriter& writer, const Link::Channel::Item& item, CopyResult& copied) {
  if (item.type == Type::Data) return writer.data(item.payload);
  if (item.type == Type::Leave) return writer.leave();
  if (wire::Hole hole; item.type == Type::Hole && wire::decode(item.payload, hole)) return writer.hole(hole.bytes);
  if (wire::Entry entry; item.type == Type::Entry && wire::decode(item.payload, entry)) return writer.entry(entry);
  wire::Skipped skipped;
  if (item.type != Type::Skipped || !wire::decode(item.payload, skipped))
    copy.refuse("what it sent is not a file tree");
  copied.skipped = skipped.count;
  return {};
}

}  // namespace

CopyResult Session::copy_in(const std::filesystem::path& source, const std::string& target, Deadline deadline,
                            const CopyOptions& options) {
  const std::string what = fmt::format("copying '{}' into the guest", source.string());
  TreeReader reader{host_files, source.string(), false};
  std::string buffer(piece_bytes, '\0');
  TreeReader::Item item;
  const auto read_next = [&] {
    if (const std::optional<Failure> failed = reader.next(item, buffer.data(), buffer.size()))
      throw_local(*failed, what);
  };
  // The guest hears of it only if there is something to copy.
  read_next();
  wire::Put request;
  request.target = target;
  request.name = last_component(source.string());
  request.owner = options.owner;
  Copy copy{*impl_->link, Type::Put, wire::encode(request), deadline, options.stop, what};
  CopyResult copied;
  while (item.kind != TreeReader::Item::Kind::End) {
    copy.check();
    if (options.mode && item.kind == TreeReader::Item::Kind::Entry && item.entry.kind == wire::EntryKind::File)
      item.entry.mode = *options.mode & 07777;
    send_item(copy, item, buffer, copied);
    read_next();
  }
  copy.send(Type::PutEnd);
  copy.finish();
  copied.skipped = reader.skipped();
  return copied;
}

CopyResult Session::copy_out(const std::string& source, const std::filesystem::path& target, Deadline deadline,
                             const CopyOptions& options) {
  const std::string what = fmt::format("copying '{}' out of the guest", source);
  wire::Get request;
  request.source = source;
  Copy copy{*impl_->link, Type::Get, wire::encode(request), deadline, options.stop, what};
  // What it is called is what the caller asked for, not what the guest says.
  TreeWriter writer{host_files, target.string(), last_component(source), false, untrusted(options)};
  CopyResult copied;
  while (const std::optional<Link::Channel::Item> item = copy.next()) {
    // A guest that always has something to say is never waited for.
    copy.check();
    if (const std::optional<Failure> failed = write_item(copy, writer, *item, copied)) throw_local(*failed, what);
  }
  if (const std::optional<Failure> failed = writer.finish()) throw_local(*failed, what);
  copied.files = writer.files();
  copied.bytes = writer.bytes();
  copied.links_left_out = writer.links_left_out();
  return copied;
}

void Session::write_file(const std::string& path, std::string_view content, unsigned mode, Deadline deadline) {
  wire::Put request;
  request.target = path;
  request.exact = true;
  Copy copy{*impl_->link, Type::Put, wire::encode(request),
            deadline,     {},        fmt::format("writing '{}' in the guest", path)};
  wire::Entry entry;
  entry.kind = wire::EntryKind::File;
  entry.mode = mode;
  entry.size = content.size();
  entry.mtime_s = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  copy.send(Type::Entry, wire::encode(entry));
  copy.send_content(content);
  copy.send(Type::PutEnd);
  copy.finish();
}

std::string Session::read_file(const std::string& path, std::size_t max_bytes, Deadline deadline) {
  wire::Get request;
  request.source = path;
  request.follow = true;
  Copy copy{*impl_->link, Type::Get, wire::encode(request),
            deadline,     {},        fmt::format("reading '{}' in the guest", path)};
  std::string content;
  bool begun = false;
  while (const std::optional<Link::Channel::Item> item = copy.next()) {
    copy.check();
    if (item->type == Type::Entry) {
      wire::Entry entry;
      if (begun || !wire::decode(item->payload, entry)) copy.refuse("what it sent is not a file");
      if (entry.kind != wire::EntryKind::File)
        throw Error{ErrorCode::InvalidArgument, fmt::format("{}: it is not a file", copy.what())};
      begun = true;
      continue;
    }
    wire::Hole hole;
    const bool is_hole = item->type == Type::Hole && wire::decode(item->payload, hole);
    if (!begun || (item->type != Type::Data && !is_hole)) copy.refuse("what it sent is not a file");
    if ((is_hole ? hole.bytes : item->payload.size()) > max_bytes - content.size())
      throw Error{ErrorCode::InvalidArgument, fmt::format("{}: it is larger than {} bytes", copy.what(), max_bytes)};
    if (is_hole)
      content.append(hole.bytes, '\0');
    else
      content += item->payload;
  }
  if (!begun) copy.refuse("it sent nothing");
  return content;
}

}  // namespace fireclaw::guest
