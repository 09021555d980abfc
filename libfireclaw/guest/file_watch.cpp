#include <utility>

#include "fireclaw/error.hpp"
#include "guest/session.hpp"
#include "guest/session_impl.hpp"

namespace fireclaw::guest {

using wire::Type;

namespace {

constexpr std::string_view watching = "watching a file in the guest";

}  // namespace

struct FileWatch::Impl {
  Impl(std::shared_ptr<Link> with, const std::string& path)
      : link{std::move(with)}, channel{link->open_channel(Type::Watch, wire::encode(wire::Watch{path}), watching)} {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() { link->abandon(channel); }

  /// Waits until guestd has said that it looks, or (`changed`) that there was a change.
  void await(bool changed, Deadline deadline, const std::stop_token& stop) {
    while (changed ? !over : !started) {
      for (const auto& item : link->take(channel)) {
        if (item.type == Type::Started && !started) {
          started = true;
          continue;
        }
        wire::Done done;
        if (item.type != Type::Done || !wire::decode(item.payload, done)) {
          throw Error{ErrorCode::Guest, "the guest broke the protocol: a message about a file makes no sense"};
        }
        link->forget(channel);
        over = started = true;
        if (done.error != 0) throw guest_error(done.error, std::move(done.message));
      }
      if (changed ? !over : !started) link->wait(channel, deadline, stop, watching);
    }
  }

  std::shared_ptr<Link> link;
  Link::ChannelPtr channel;
  bool started = false;
  bool over = false;
};

FileWatch::FileWatch(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
FileWatch::FileWatch(FileWatch&&) noexcept = default;
FileWatch& FileWatch::operator=(FileWatch&&) noexcept = default;
FileWatch::~FileWatch() = default;

void FileWatch::wait(Deadline deadline, const std::stop_token& stop) { impl_->await(true, deadline, stop); }

FileWatch Session::watch_file(const std::string& path, Deadline deadline) {
  auto impl = std::make_unique<FileWatch::Impl>(impl_->link, path);
  impl->await(false, deadline, {});
  return FileWatch{std::move(impl)};
}

}  // namespace fireclaw::guest
