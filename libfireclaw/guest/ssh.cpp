#include "guest/ssh.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <optional>
#include <span>
#include <utility>

#include "base/scope.hpp"
#include "fireclaw/error.hpp"
#include "guest/libssh2.hpp"
#include "sys/base64.hpp"
#include "sys/poll.hpp"

namespace fireclaw::guest {
namespace {

constexpr std::size_t piece_bytes = std::size_t{32} << 10;
constexpr std::chrono::seconds goodbye_limit{1};

/// "type key" without the comment that may follow.
std::string_view without_comment(std::string_view key) {
  const auto first = key.find(' ');
  if (first == std::string_view::npos) return key;
  const auto second = key.find_first_of(" \r\n", first + 1);
  return key.substr(0, second);
}

struct FreeChannel {
  void operator()(LIBSSH2_CHANNEL* channel) const noexcept { Ssh2Library::get().channel_free(channel); }
};
using ChannelHandle = std::unique_ptr<LIBSSH2_CHANNEL, FreeChannel>;

}  // namespace

const Ssh2Library& Ssh2Library::get() {
  static const Ssh2Library library = [] {
    Ssh2Library ssh;
    if (ssh.init(0) != 0) throw Error{ErrorCode::Internal, "cannot initialise libssh2"};
    return ssh;
  }();
  return library;
}

std::string shell_quote(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

std::string to_shell_line(const ExecOptions& options) {
  std::string line;
  if (!options.cwd.empty()) line += fmt::format("cd -- {} && ", shell_quote(options.cwd));
  line += "exec";
  if (!options.env.empty()) {
    line += " env --";
    for (const auto& [name, value] : options.env) line += fmt::format(" {}", shell_quote(name + "=" + value));
  }
  for (const auto& word : options.argv) line += " " + shell_quote(word);
  return line;
}

struct SshSession::Impl {
  explicit Impl(sys::Fd the_stream) : ssh{Ssh2Library::get()}, stream{std::move(the_stream)} {
    sys::check(::fcntl(stream.get(), F_SETFL, O_NONBLOCK), "make the connection non-blocking");
    session = ssh.session_init(nullptr, nullptr, nullptr, nullptr);
    if (session == nullptr) throw Error{ErrorCode::Internal, "libssh2 cannot make a session"};
    ssh.session_set_blocking(session, 0);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    const auto deadline = Deadline::after(goodbye_limit);
    while (ssh.session_disconnect(session, SSH_DISCONNECT_BY_APPLICATION, "done", "") == LIBSSH2_ERROR_EAGAIN &&
           wait(deadline, {}) == sys::WaitResult::Ready) {
    }
    while (ssh.session_free(session) == LIBSSH2_ERROR_EAGAIN && wait(deadline, {}) == sys::WaitResult::Ready) {
    }
  }

  /// Waits for the direction that libssh2 is held up in.
  sys::WaitResult wait(Deadline deadline, const std::stop_token& stop) const {
    return sys::wait_fd(stream.get(), directions(), deadline, stop);
  }
  [[nodiscard]] short directions() const {
    const int blocked = ssh.session_block_directions(session);
    short events = 0;
    if ((blocked & LIBSSH2_SESSION_BLOCK_INBOUND) != 0) events |= POLLIN;
    if ((blocked & LIBSSH2_SESSION_BLOCK_OUTBOUND) != 0) events |= POLLOUT;
    return events == 0 ? static_cast<short>(POLLIN) : events;
  }

  [[noreturn]] void fail(int status, std::string_view what) const {
    char* message = nullptr;
    ssh.session_last_error(session, &message, nullptr, 0);
    const auto code = status == LIBSSH2_ERROR_AUTHENTICATION_FAILED || status == LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED
                          ? ErrorCode::PermissionDenied
                          : ErrorCode::Guest;
    throw Error{code, fmt::format("{} by SSH: {}", what, message == nullptr ? "no reason given" : message)};
  }

  /// Calls `step` until it no longer says that it would block; throws what it says.
  template <typename Step>
  void until_done(Step step, Deadline deadline, const std::stop_token& stop, std::string_view what) const {
    for (;;) {
      const int status = step();
      if (status >= 0) return;
      if (status != LIBSSH2_ERROR_EAGAIN) fail(status, what);
      sys::require_fd(stream.get(), directions(), deadline, what, stop);
    }
  }

  void log_in(const SshLogin& login, Deadline deadline, const std::stop_token& stop);
  ExecResult run(const char* request, const std::string& line, const ExecOptions& options);

  const Ssh2Library& ssh;
  sys::Fd stream;
  LIBSSH2_SESSION* session = nullptr;
  std::string host_key;
  std::string user;
  sys::EventFd resized;
  std::mutex mutex;
  std::optional<WindowSize> new_size;
};

void SshSession::Impl::log_in(const SshLogin& login, Deadline deadline, const std::stop_token& stop) {
  // What guests have, and all that libssh2 1.10 can verify in today's terms.
  ssh.session_method_pref(session, LIBSSH2_METHOD_HOSTKEY, "ssh-ed25519");
  until_done([&] { return ssh.session_handshake(session, stream.get()); }, deadline, stop, "greeting the guest");
  std::size_t length = 0;
  int type = 0;
  const char* key = ssh.session_hostkey(session, &length, &type);
  if (key == nullptr || type != LIBSSH2_HOSTKEY_TYPE_ED25519) {
    throw Error{ErrorCode::Guest, "the guest's SSH server has no ed25519 host key"};
  }
  host_key = "ssh-ed25519 " + sys::to_base64({key, length});
  if (!login.host_key.empty() && without_comment(login.host_key) != host_key) {
    throw Error{
        ErrorCode::PermissionDenied,
        fmt::format("the guest shows another host key than before ({}): it is not the machine it was, or somebody "
                    "is in between",
                    host_key)};
  }
  const auto public_key = login.key.native() + ".pub";
  user = login.user;
  until_done(
      [&] {
        return ssh.userauth_publickey_fromfile(session, user.data(), static_cast<unsigned>(user.size()),
                                               public_key.c_str(), login.key.c_str(), nullptr);
      },
      deadline, stop, fmt::format("logging in as '{}'", user));
}

namespace {

/// One command's life on the connection.
class Running {
 public:
  Running(SshSession::Impl& impl, const ExecOptions& options)
      : impl_{impl}, options_{options}, stop_{options.stop}, started_{std::chrono::steady_clock::now()} {
    if (options.timeout) kill_at_ = Deadline::at(started_ + *options.timeout);
    // The server lets go of a terminal whose input has ended, and no longer knows its size.
    input_over_ = options.tty && !options.input_fd && options.input.empty();
  }

  ExecResult run(const char* request, const std::string& line) {
    open(request, line);
    while (!result_over()) {
      if (must_end()) break;
      bool moved = receive(0, options_.on_stdout, result_.out);
      moved = receive(SSH_EXTENDED_DATA_STDERR, options_.on_stderr, result_.err) || moved;
      resize();
      moved = feed() || moved;
      if (!moved && !result_over()) sleep_until_something_happens();
    }
    if (!result_.timed_out && !result_.cancelled) close();
    result_.duration = std::chrono::steady_clock::now() - started_;
    return std::move(result_);
  }

 private:
  void open(const char* request, const std::string& line) {
    constexpr std::string_view session = "session";
    impl_.until_done(
        [&] {
          channel_.reset(impl_.ssh.channel_open(impl_.session, session.data(), session.size(),
                                                LIBSSH2_CHANNEL_WINDOW_DEFAULT, LIBSSH2_CHANNEL_PACKET_DEFAULT, nullptr,
                                                0));
          if (channel_) return 0;
          return impl_.ssh.session_last_error(impl_.session, nullptr, nullptr, 0);
        },
        kill_at_, options_.stop, "opening a channel");
    if (options_.tty) {
      constexpr std::string_view terminal = "xterm-256color";
      impl_.until_done(
          [&] {
            return impl_.ssh.channel_request_pty(channel_.get(), terminal.data(), terminal.size(), nullptr, 0,
                                                 options_.window_size.columns, options_.window_size.rows, 0, 0);
          },
          kill_at_, options_.stop, "asking for a terminal");
    }
    impl_.until_done(
        [&] {
          return impl_.ssh.channel_process_startup(
              channel_.get(), request, static_cast<unsigned>(std::string_view{request}.size()),
              line.empty() ? nullptr : line.data(), static_cast<unsigned>(line.size()));
        },
        kill_at_, options_.stop, "starting the command");
  }

  bool result_over() const { return impl_.ssh.channel_eof(channel_.get()) == 1; }

  bool must_end() {
    if (stop_.requested()) {
      result_.cancelled = true;
    } else if (kill_at_.passed()) {
      result_.timed_out = true;
    } else {
      return false;
    }
    // The server hangs up on the command, which is all the protocol offers.
    result_.signal = 1;
    result_.exit_code = 128 + result_.signal;
    return true;
  }

  bool receive(int stream, const OutputCallback& callback, std::string& collected) {
    std::array<char, piece_bytes> buffer{};
    bool any = false;
    for (;;) {
      const auto got = impl_.ssh.channel_read(channel_.get(), stream, buffer.data(), buffer.size());
      if (got == LIBSSH2_ERROR_EAGAIN || got == 0) return any;
      if (got < 0) impl_.fail(static_cast<int>(got), "reading output");
      any = true;
      const std::string_view bytes{buffer.data(), static_cast<std::size_t>(got)};
      if (callback) {
        callback(bytes);
        continue;
      }
      const auto room = options_.max_output_bytes - std::min(options_.max_output_bytes, collected.size());
      if (bytes.size() > room) result_.truncated = true;
      collected.append(bytes.substr(0, room));
    }
  }

  void resize() {
    std::optional<WindowSize> size;
    {
      const std::scoped_lock lock{impl_.mutex};
      size = impl_.new_size;
    }
    if (!size || !options_.tty) return;
    impl_.resized.clear();
    const int status = impl_.ssh.channel_request_pty_size(channel_.get(), size->columns, size->rows, 0, 0);
    if (status == LIBSSH2_ERROR_EAGAIN) return impl_.resized.set();
    const std::scoped_lock lock{impl_.mutex};
    if (impl_.new_size == size) impl_.new_size.reset();
  }

  /// Sends a piece of the input; true if something moved.
  bool feed() {
    if (input_over_) return false;
    if (pending_.empty() && !more_input()) {
      const int status = impl_.ssh.channel_send_eof(channel_.get());
      if (status == LIBSSH2_ERROR_EAGAIN) return false;
      input_over_ = true;
      return true;
    }
    if (pending_.empty()) return false;
    const auto sent = impl_.ssh.channel_write(channel_.get(), 0, pending_.data(), pending_.size());
    if (sent == LIBSSH2_ERROR_EAGAIN) return false;
    if (sent < 0) {
      // The command reads no more.
      pending_.clear();
      input_over_ = true;
      return true;
    }
    pending_.erase(0, static_cast<std::size_t>(sent));
    return true;
  }

  /// False once there is no more to come.
  bool more_input() {
    if (!options_.input_fd) {
      if (text_sent_) return false;
      text_sent_ = true;
      pending_ = options_.input;
      return !pending_.empty();
    }
    if (sys::wait_fd(*options_.input_fd, POLLIN, Deadline::after(std::chrono::nanoseconds{0})) !=
        sys::WaitResult::Ready) {
      return true;
    }
    pending_.resize(piece_bytes);
    const auto got = sys::read_some(*options_.input_fd, std::as_writable_bytes(std::span{pending_}));
    pending_.resize(static_cast<std::size_t>(std::max<std::ptrdiff_t>(got, 0)));
    return got != 0;
  }

  void sleep_until_something_happens() const {
    const bool wants_input = options_.input_fd && !input_over_ && pending_.empty();
    pollfd waits[] = {{impl_.stream.get(), impl_.directions(), 0},
                      {stop_.fd(), POLLIN, 0},
                      {wants_input ? *options_.input_fd : -1, POLLIN, 0},
                      {impl_.resized.fd(), POLLIN, 0}};
    sys::check(sys::retry([&] { return ::poll(waits, 4, kill_at_.poll_timeout_ms()); }), "poll");
  }

  void close() {
    const auto deadline = Deadline::after(std::chrono::seconds{5});
    impl_.until_done([&] { return impl_.ssh.channel_close(channel_.get()); }, deadline, {}, "ending the command");
    impl_.until_done([&] { return impl_.ssh.channel_wait_closed(channel_.get()); }, deadline, {}, "ending the command");
    char* name = nullptr;
    std::size_t length = 0;
    impl_.ssh.channel_get_exit_signal(channel_.get(), &name, &length, nullptr, nullptr, nullptr, nullptr);
    result_.exit_code = impl_.ssh.channel_get_exit_status(channel_.get());
    if (name != nullptr) {
      result_.signal = signal_number({name, length});
      impl_.ssh.free(impl_.session, name);
      result_.exit_code = 128 + result_.signal;
    }
  }

  /// The names that RFC 4254 has.
  static int signal_number(std::string_view name) {
    constexpr std::array<std::pair<std::string_view, int>, 13> names{{{"ABRT", 6},
                                                                      {"ALRM", 14},
                                                                      {"FPE", 8},
                                                                      {"HUP", 1},
                                                                      {"ILL", 4},
                                                                      {"INT", 2},
                                                                      {"KILL", 9},
                                                                      {"PIPE", 13},
                                                                      {"QUIT", 3},
                                                                      {"SEGV", 11},
                                                                      {"TERM", 15},
                                                                      {"USR1", 10},
                                                                      {"USR2", 12}}};
    const auto* found = std::ranges::find(names, name, &std::pair<std::string_view, int>::first);
    return found == names.end() ? 0 : found->second;
  }

  SshSession::Impl& impl_;
  const ExecOptions& options_;
  const sys::StopFd stop_;
  const std::chrono::steady_clock::time_point started_;
  Deadline kill_at_ = Deadline::never();
  ChannelHandle channel_;
  ExecResult result_;
  std::string pending_;
  bool text_sent_ = false;
  bool input_over_ = false;
};

}  // namespace

ExecResult SshSession::Impl::run(const char* request, const std::string& line, const ExecOptions& options) {
  if (!options.user.empty() && options.user != user) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("by SSH a command runs as '{}', not as '{}'", user, options.user)};
  }
  return Running{*this, options}.run(request, line);
}

SshSession::SshSession(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
SshSession::SshSession(SshSession&&) noexcept = default;
SshSession& SshSession::operator=(SshSession&&) noexcept = default;
SshSession::~SshSession() = default;

SshSession SshSession::open(sys::Fd stream, const SshLogin& login, Deadline deadline, const std::stop_token& stop) {
  auto impl = std::make_unique<Impl>(std::move(stream));
  impl->log_in(login, deadline, stop);
  return SshSession{std::move(impl)};
}

const std::string& SshSession::host_key() const { return impl_->host_key; }

ExecResult SshSession::exec(const ExecOptions& options) {
  if (options.argv.empty()) throw Error{ErrorCode::InvalidArgument, "a command needs at least a program"};
  return impl_->run("exec", to_shell_line(options), options);
}

ExecResult SshSession::shell(const ExecOptions& options) { return impl_->run("shell", {}, options); }

void SshSession::resize(WindowSize size) {
  {
    const std::scoped_lock lock{impl_->mutex};
    impl_->new_size = size;
  }
  impl_->resized.set();
}

void SshSession::write_file(const std::string& path, std::string_view content, unsigned mode, Deadline deadline) {
  ExecOptions write = ExecOptions::shell(
      fmt::format("umask 077 && cat > {0}.new && chmod {1:o} {0}.new && mv -f {0}.new {0}", shell_quote(path), mode));
  write.input = content;
  if (const auto left = deadline.remaining()) {
    write.timeout = std::chrono::duration_cast<std::chrono::milliseconds>(*left);
  }
  const auto done = exec(write);
  if (done.timed_out) throw Error{ErrorCode::Timeout, fmt::format("writing '{}' by SSH timed out", path)};
  if (done.exit_code != 0) throw Error{ErrorCode::Guest, fmt::format("cannot write '{}' by SSH: {}", path, done.err)};
}

}  // namespace fireclaw::guest
