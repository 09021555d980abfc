#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>

#include "channels/channel.hpp"
#include "text.hpp"

namespace fireclaw::guestd {
namespace {

/// Watches the folder, because a file that is replaced is another file afterwards. Nothing but the fact that the name
/// was written to or put in place is told: what is in the file is for the host to read.
class WatchChannel final : public Channel, private Watcher {
 public:
  WatchChannel(Outlet& outlet, std::uint32_t id, const wire::Watch& request)
      : Channel{outlet, id}, name_{guest::last_component(request.path)} {
    if (begin(request.path)) {
      send(wire::Type::Started, wire::encode(wire::Started{}));
    } else {
      send_done(errno, cat({"cannot watch \"", request.path, "\": ", error_text(errno)}));
    }
  }
  ~WatchChannel() override { end(); }

  bool handle(const wire::Frame&) override { return false; }

 private:
  bool begin(const std::string& path) {
    if (path.empty() || path.front() != '/' || path.back() == '/' || !guest::wire::is_plain_name(name_)) {
      errno = EINVAL;
      return false;
    }
    const std::string folder = path.substr(0, path.size() - name_.size());
    const int root = outlet_.machine().files().root_fd;
    const guest::OwnedFd opened{root == AT_FDCWD
                                    ? open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)
                                    : openat(root, cat({".", folder}).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
    if (!opened.open()) return false;
    notices_.reset(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!notices_.open()) return false;
    const std::string by_number = cat({"/proc/self/fd/", std::to_string(opened.get())});
    if (inotify_add_watch(notices_.get(), by_number.c_str(), IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR) < 0)
      return false;
    return watched_ = outlet_.loop().watch(notices_.get(), *this);
  }

  void end() {
    if (watched_) outlet_.loop().unwatch(notices_.get(), *this);
    watched_ = false;
    notices_.reset();
  }

  void ready(std::uint32_t) override {
    alignas(inotify_event) std::array<char, 4096> buffer;
    while (!finished_) {
      const ssize_t got = read(notices_.get(), buffer.data(), buffer.size());
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return;
      if (has_change({buffer.data(), static_cast<std::size_t>(got)})) break;
    }
    end();
    if (!finished_) send_done(0, {});
  }

  /// Whether the file is among what changed, or may be: notices were lost, or the folder is gone.
  bool has_change(std::string_view events) const {
    while (events.size() >= sizeof(inotify_event)) {
      const auto* event = reinterpret_cast<const inotify_event*>(events.data());
      if ((event->mask & (IN_Q_OVERFLOW | IN_IGNORED)) != 0) return true;
      if (event->len > 0 && name_ == event->name) return true;
      events.remove_prefix(sizeof(inotify_event) + event->len);
    }
    return false;
  }

  const std::string name_;
  guest::OwnedFd notices_;
  bool watched_ = false;
};

}  // namespace

std::unique_ptr<Channel> make_watch_channel(Outlet& outlet, std::uint32_t id, const wire::Watch& request) {
  return std::make_unique<WatchChannel>(outlet, id, request);
}

}  // namespace fireclaw::guestd
