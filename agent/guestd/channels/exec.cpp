#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <utility>

#include "channels/channel.hpp"

namespace fireclaw::guestd {
namespace {

using wire::Type;

/// How long something that the command left behind may stay silent, and may continue in all, before its output is given
/// up and the end of the command is reported.
constexpr std::int64_t quiet_ms = 100;
constexpr std::int64_t linger_ms = 1000;
constexpr std::size_t piece_bytes = std::size_t{32} << 10;
/// How often it is looked whether a terminal's program waits for input that has ended: at first, and at last.
constexpr std::int64_t first_look_ms = 30;
constexpr std::int64_t last_look_ms = 2000;

/// One of our ends of the command's pipes, or of its terminal.
struct Stream final : Watcher {
  void ready(std::uint32_t) override { readable = writable = true; }

  OwnedFd fd;
  Type type = Type::Stdout;
  bool readable = true;
  bool writable = true;
  /// Bytes that were in the pipe when the command ended: these are its own, and are delivered however slow the host.
  std::size_t owed = 0;
};

/// A command. Its outputs are drained before its end is reported, also when it closed them early. What its
/// descendants write after its end is still delivered until they have been silent for `quiet_ms`, for `linger_ms` at
/// most: a command that leaves a daemon behind does not hang.
class ExecChannel final : public Channel {
 public:
  ExecChannel(Outlet& outlet, std::uint32_t id, Spawned spawned, bool tty)
      : Channel{outlet, id}, pid_{spawned.pid}, tty_{tty} {
    in_.fd = std::move(spawned.in);
    out_.fd = std::move(spawned.out);
    err_.fd = std::move(spawned.err);
    err_.type = Type::Stderr;
    for (Stream* stream : {&in_, &out_, &err_})
      if (stream->fd.open()) outlet_.loop().watch(stream->fd.get(), *stream);
  }
  ~ExecChannel() override {
    if (!reported_) outlet_.machine().signal_group(pid_, SIGKILL);
    for (Stream* stream : {&in_, &out_, &err_}) close_stream(*stream);
  }

  bool handle(const wire::Frame& frame) override;
  bool pump() override;
  bool child_ended(pid_t pid, int status) override;
  std::int64_t deadline() const override;
  void tick() override {
    if (!ended_ && end_due_ >= 0 && now_ms() >= end_due_) end_terminal_input();
    report_if_over();
  }

 private:
  void close_stream(Stream& stream) {
    if (!stream.fd.open()) return;
    outlet_.loop().unwatch(stream.fd.get(), stream);
    stream.fd.reset();
  }
  /// Where input goes.
  Stream& input() { return tty_ ? out_ : in_; }
  void feed();
  void stop_input();
  void end_terminal_input();
  bool type_end(int terminal);
  bool forward(Stream& stream);
  void report_if_over();
  /// There is output that the window, or the room in the session's queue, does not allow to be read.
  bool waits_for_host() const { return (out_.fd.open() && out_.readable) || (err_.fd.open() && err_.readable); }

  const pid_t pid_;
  const bool tty_;
  Stream in_;
  Stream out_;
  Stream err_;

  wire::ByteQueue pending_input_;
  std::size_t pending_cost_ = 0;
  bool input_ended_ = false;
  bool input_refused_ = false;
  /// The last byte of input was not the end of a line.
  bool in_line_ = false;
  /// When a terminal's program is looked at again; -1: not at all. And how often it was seen to wait, in a row.
  std::int64_t end_due_ = -1;
  std::int64_t look_ms_ = first_look_ms;
  int waits_ = 0;

  bool ended_ = false;
  bool reported_ = false;
  wire::Exit exit_;
  std::int64_t quiet_at_ = 0;
  std::int64_t give_up_at_ = 0;
};

bool ExecChannel::handle(const wire::Frame& frame) {
  if (frame.type == Type::Stdin) {
    if (input_ended_ || (!tty_ && !in_.fd.open() && !input_refused_)) return false;
    if (input_refused_) return true;
    pending_input_.append(frame.payload);
    pending_cost_ += wire::cost(frame.payload.size());
    feed();
    return true;
  }
  if (frame.type == Type::StdinEnd) {
    input_ended_ = true;
    feed();
    return frame.payload.empty();
  }
  if (frame.type == Type::Signal) {
    wire::Signal request;
    if (!wire::decode(frame.payload, request) || request.number < 1 || request.number > 64) return false;
    outlet_.machine().signal_group(pid_, static_cast<int>(request.number));
    return true;
  }
  if (frame.type == Type::Resize) {
    wire::Resize request;
    if (!wire::decode(frame.payload, request)) return false;
    winsize size{};
    size.ws_row = request.rows;
    size.ws_col = request.columns;
    if (tty_ && out_.fd.open()) ioctl(out_.fd.get(), TIOCSWINSZ, &size);
    return true;
  }
  return false;
}

/// The command reads no more: what it has not read is dropped, and the host need not send more.
void ExecChannel::stop_input() {
  if (input_refused_) return;
  input_refused_ = true;
  pending_input_.clear();
  pending_cost_ = 0;
  if (!tty_) close_stream(in_);
  send(Type::StdinClosed);
}

/// Whether the program that has the terminal sleeps, as one does that waits for input.
bool foreground_sleeps(int terminal) {
  const pid_t group = tcgetpgrp(terminal);
  char path[32];
  snprintf(path, sizeof path, "/proc/%d/stat", static_cast<int>(group));
  const OwnedFd file{open(path, O_RDONLY | O_CLOEXEC)};
  char text[256];
  const ssize_t got = file.open() ? read(file.get(), text, sizeof text) : -1;
  if (got <= 0) return true;
  // The state follows the name, which is in brackets and can hold any others.
  const std::string_view status{text, static_cast<std::size_t>(got)};
  const auto end = status.rfind(')');
  return end == std::string_view::npos || end + 2 >= status.size() || status[end + 2] == 'S';
}

/// A terminal has no end of file of its own; this writes what a user would type. A program that edits lines by itself
/// takes the mode of the terminal away while it starts, so nothing is typed before it waits; and it is typed again for
/// what waits after it, such as the shell that a command was run by.
void ExecChannel::end_terminal_input() {
  const int terminal = out_.fd.open() ? out_.fd.get() : -1;
  end_due_ = -1;
  if (terminal < 0) return;
  waits_ = foreground_sleeps(terminal) ? waits_ + 1 : 0;
  if (waits_ >= 2) {
    waits_ = 0;
    if (type_end(terminal)) look_ms_ = std::min(2 * look_ms_, last_look_ms);
  }
  end_due_ = now_ms() + look_ms_;
}

/// In the middle of a line the first one hands over the line, and only a second one ends the input; where a program
/// edits lines, the line needs its own end, and the input's is typed after that. False if that is still to be done.
/// Ends that nobody had read when such a program began are characters of its line, which is taken back.
bool ExecChannel::type_end(int terminal) {
  termios modes{};
  char end = 4;
  char kill_line = 21;
  bool by_line = true;
  if (tcgetattr(terminal, &modes) == 0) {
    end = static_cast<char>(modes.c_cc[VEOF]);
    kill_line = static_cast<char>(modes.c_cc[VKILL]);
    by_line = (modes.c_lflag & ICANON) != 0;
  }
  const bool typed_before = look_ms_ > first_look_ms;
  char ends[] = {end, end};
  std::size_t count = in_line_ && by_line ? 2 : 1;
  if (in_line_ && !by_line) {
    ends[0] = '\n';
  } else if (typed_before && !by_line) {
    ends[0] = kill_line;
    count = 2;
  }
  if (write(terminal, ends, count) != static_cast<ssize_t>(count)) return false;
  return !std::exchange(in_line_, false) || by_line;
}

void ExecChannel::feed() {
  Stream& stream = input();
  if (!stream.fd.open() || input_refused_) return;
  while (!pending_input_.view().empty()) {
    const std::string_view bytes = pending_input_.view();
    const ssize_t written = write(stream.fd.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written == 0 || (written < 0 && errno == EAGAIN)) {
      stream.writable = false;
      return;
    }
    if (written < 0) return stop_input();
    in_line_ = bytes[static_cast<std::size_t>(written) - 1] != '\n';
    pending_input_.consume(static_cast<std::size_t>(written));
    pending_cost_ -= static_cast<std::size_t>(written);
    consumed(static_cast<std::size_t>(written));
  }
  if (pending_cost_ > 0) consumed(std::exchange(pending_cost_, 0));
  if (!input_ended_) return;
  if (tty_) {
    if (end_due_ < 0) end_due_ = now_ms() + look_ms_;
    return;
  }
  close_stream(in_);
  input_refused_ = true;
}

bool ExecChannel::forward(Stream& stream) {
  if (!stream.fd.open() || !stream.readable || !outlet_.has_room()) return false;
  const std::size_t most = std::min(wire::affordable(allowance_), piece_bytes);
  if (most == 0) return false;
  char* room = outlet_.begin_bulk(most);
  const ssize_t got = read(stream.fd.get(), room, most);
  if (got > 0) {
    const auto bytes = static_cast<std::size_t>(got);
    outlet_.steps().done("first output");
    outlet_.end_bulk(stream.type, id_, bytes);
    allowance_ -= wire::cost(bytes);
    stream.owed -= std::min(stream.owed, bytes);
    if (ended_) quiet_at_ = now_ms() + quiet_ms;
    return true;
  }
  if (got < 0 && errno == EINTR) return true;
  if (got < 0 && errno == EAGAIN) {
    stream.readable = false;
    stream.owed = 0;
    return false;
  }
  // End of file; EIO from a terminal that nobody has open any more.
  close_stream(stream);
  return false;
}

bool ExecChannel::pump() {
  Stream& in = input();
  if (in.fd.open() && in.writable && (input_ended_ || !pending_input_.view().empty())) feed();
  const bool sent_out = forward(out_);
  const bool sent_err = forward(err_);
  report_if_over();
  return sent_out || sent_err;
}

bool ExecChannel::child_ended(pid_t pid, int status) {
  if (pid != pid_ || ended_) return false;
  ended_ = true;
  outlet_.steps().done("end");
  if (WIFSIGNALED(status)) {
    exit_.signal = WTERMSIG(status);
    exit_.code = 128 + exit_.signal;
  } else {
    exit_.code = WEXITSTATUS(status);
  }
  for (Stream* stream : {&out_, &err_}) {
    int held = 0;
    if (stream->fd.open() && ioctl(stream->fd.get(), FIONREAD, &held) == 0 && held > 0)
      stream->owed = static_cast<std::size_t>(held);
    // No event is due for an end of file that came with the last bytes.
    stream->readable = true;
  }
  quiet_at_ = now_ms() + quiet_ms;
  give_up_at_ = quiet_at_ - quiet_ms + linger_ms;
  return true;
}

std::int64_t ExecChannel::deadline() const {
  if (!ended_) return end_due_;
  if (reported_) return -1;
  if (waits_for_host()) return out_.owed + err_.owed > 0 ? -1 : give_up_at_;
  return std::min(quiet_at_, give_up_at_);
}

void ExecChannel::report_if_over() {
  if (!ended_ || reported_) return;
  if (out_.fd.open() || err_.fd.open()) {
    if (out_.owed + err_.owed > 0) return;
    const std::int64_t now = now_ms();
    if (now < give_up_at_ && (waits_for_host() || now < quiet_at_)) return;
  }
  reported_ = true;
  outlet_.steps().done("report");
  send(Type::Exit, wire::encode(exit_));
  finished_ = true;
}

}  // namespace

std::unique_ptr<Channel> make_exec_channel(Outlet& outlet, std::uint32_t id, Spawned spawned, bool tty) {
  return std::make_unique<ExecChannel>(outlet, id, std::move(spawned), tty);
}

}  // namespace fireclaw::guestd
