#include "guest/process.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <span>
#include <utility>

#include "base/scope.hpp"

namespace fireclaw::guest {
namespace {

using namespace std::chrono_literals;
using wire::Type;

/// How long a command that was asked to stop has before it is killed.
constexpr auto stop_grace = 2s;
/// How long the guest has to report the end of a command that was killed.
constexpr auto report_grace = 2s;
constexpr std::size_t piece_bytes = std::size_t{32} << 10;

wire::Exec make_request(const ExecOptions& options) {
  wire::Exec request;
  request.argv = options.argv;
  request.env = options.env;
  request.cwd = options.cwd;
  request.user = options.user;
  request.tty = options.tty;
  request.has_stdin = options.input_fd.has_value() || !options.input.empty();
  request.rows = options.window_size.rows;
  request.columns = options.window_size.columns;
  return request;
}

ExecOptions check_options(ExecOptions options) {
  if (options.argv.empty()) throw Error{ErrorCode::InvalidArgument, "a command needs at least a program"};
  if (options.input_fd && !options.input.empty())
    throw Error{ErrorCode::InvalidArgument, "a command's input is either a text or a descriptor, not both"};
  return options;
}

/// A command's time begins when the guest says that it has started it. How much later than its request that may be.
constexpr std::chrono::seconds start_patience{5};

/// One wait().
class Waiting {
 public:
  explicit Waiting(Process::Impl& process)
      : process_{process},
        options_{process.options},
        link_{*process.link},
        stop_{process.options.stop},
        input_over_{!options_.input_fd && options_.input.empty()} {
    if (options_.timeout) kill_at_ = Deadline::at(process.started + *options_.timeout + start_patience);
  }

  ExecResult run() {
    while (!over_) {
      receive();
      if (over_) break;
      enforce();
      if (over_) break;
      feed();
      sleep_until_something_happens();
    }
    result_.duration = std::chrono::steady_clock::now() - process_.started;
    return std::move(result_);
  }

 private:
  void receive();
  void handle(const Link::Channel::Item& item);
  void could_not_start(const wire::ExecFailed& failed);
  void deliver(const OutputCallback& callback, std::string& collected, std::string_view bytes);
  void enforce();
  void kill();
  void feed();
  void send_input(std::string_view bytes) { link_.send(process_.channel, Type::Stdin, bytes); }
  void end_input() {
    link_.send(process_.channel, Type::StdinEnd);
    input_over_ = true;
  }
  void sleep_until_something_happens();

  Process::Impl& process_;
  const ExecOptions& options_;
  Link& link_;
  const sys::StopFd stop_;
  ExecResult result_;
  bool over_ = false;
  bool started_ = false;

  bool input_over_;
  bool input_blocked_ = false;
  std::size_t input_sent_ = 0;

  Deadline kill_at_ = Deadline::never();
  bool stopping_ = false;
  bool killed_ = false;
  Deadline give_up_at_ = Deadline::never();
};

void Waiting::deliver(const OutputCallback& callback, std::string& collected, std::string_view bytes) {
  if (callback) return callback(bytes);
  const std::size_t room = options_.max_output_bytes - std::min(options_.max_output_bytes, collected.size());
  if (bytes.size() > room) result_.truncated = true;
  collected.append(bytes.substr(0, room));
}

void Waiting::could_not_start(const wire::ExecFailed& failed) {
  if (failed.reason == wire::ExecFailure::BadRequest) throw guest_error(failed.error, failed.message);
  // As a shell: a line on stderr and 126 or 127.
  result_.exit_code = failed.reason == wire::ExecFailure::NotFound ? 127 : 126;
  deliver(options_.on_stderr, result_.err, fmt::format("fireclaw: {}\n", failed.message));
  over_ = true;
}

void Waiting::handle(const Link::Channel::Item& item) {
  const auto sound = [](bool decoded) {
    if (!decoded)
      throw Error{ErrorCode::Guest, "the guest broke the protocol: a message about a command makes no sense"};
  };
  if (item.type == Type::Stdout) return deliver(options_.on_stdout, result_.out, item.payload);
  if (item.type == Type::Stderr) return deliver(options_.on_stderr, result_.err, item.payload);
  if (item.type == Type::StdinClosed) {
    input_over_ = true;
    return;
  }
  if (item.type == Type::Started) {
    // A guest that says it over and over would keep this busy for as long as it likes.
    sound(!started_);
    if (options_.timeout) kill_at_ = kill_at_.sooner(Deadline::after(*options_.timeout));
    started_ = true;
    return;
  }
  if (item.type == Type::ExecFailed) {
    wire::ExecFailed failed;
    sound(wire::decode(item.payload, failed));
    return could_not_start(failed);
  }
  wire::Exit exit;
  sound(item.type == Type::Exit && wire::decode(item.payload, exit) && exit.code >= 0 && exit.code <= 255 &&
        exit.signal >= 0 && exit.signal <= 64);
  result_.exit_code = exit.code;
  result_.signal = exit.signal;
  over_ = true;
}

void Waiting::receive() {
  for (const Link::Channel::Item& item : link_.take(process_.channel)) {
    handle(item);
    if (over_) return link_.forget(process_.channel);
    link_.consumed(process_.channel, item);
  }
}

void Waiting::kill() {
  killed_ = true;
  wire::Signal request;
  request.number = SIGKILL;
  link_.send(process_.channel, Type::Signal, wire::encode(request));
  give_up_at_ = Deadline::after(report_grace);
}

void Waiting::enforce() {
  if (stop_.requested() && !stopping_ && !killed_) {
    stopping_ = true;
    result_.cancelled = true;
    wire::Signal request;
    request.number = SIGTERM;
    link_.send(process_.channel, Type::Signal, wire::encode(request));
    kill_at_ = kill_at_.sooner(Deadline::after(stop_grace));
  }
  if (!killed_ && kill_at_.passed()) {
    if (!stopping_) result_.timed_out = true;
    kill();
  }
  if (killed_ && give_up_at_.passed()) {
    // The guest hangs: the caller learns in time what it wanted to happen.
    link_.abandon(process_.channel);
    result_.signal = SIGKILL;
    result_.exit_code = 128 + SIGKILL;
    over_ = true;
  }
}

void Waiting::feed() {
  while (!input_over_) {
    const std::size_t most = std::min(wire::affordable(link_.allowance(process_.channel)), piece_bytes);
    input_blocked_ = most == 0;
    if (input_blocked_) return;
    if (!options_.input_fd) {
      const std::string_view rest = std::string_view{options_.input}.substr(input_sent_);
      if (rest.empty()) return end_input();
      const std::string_view piece = rest.substr(0, most);
      send_input(piece);
      input_sent_ += piece.size();
      continue;
    }
    if (sys::wait_fd(*options_.input_fd, POLLIN, Deadline::after(std::chrono::nanoseconds{0})) !=
        sys::WaitResult::Ready)
      return;
    std::string piece(most, '\0');
    const std::ptrdiff_t got = sys::read_some(*options_.input_fd, std::as_writable_bytes(std::span{piece}));
    if (got < 0) return;
    if (got == 0) return end_input();
    send_input(std::string_view{piece}.substr(0, static_cast<std::size_t>(got)));
  }
}

void Waiting::sleep_until_something_happens() {
  const Deadline deadline = killed_ ? give_up_at_ : kill_at_;
  const bool reads_input = options_.input_fd && !input_over_ && !input_blocked_;
  pollfd waits[] = {{process_.channel->event.fd(), POLLIN, 0},
                    {stopping_ ? -1 : stop_.fd(), POLLIN, 0},
                    {reads_input ? *options_.input_fd : -1, POLLIN, 0}};
  sys::check(sys::retry([&] { return ::poll(waits, 3, deadline.poll_timeout_ms()); }), "poll");
}

}  // namespace

Process::Impl::Impl(std::shared_ptr<Link> the_link, ExecOptions the_options)
    : link{std::move(the_link)},
      options{check_options(std::move(the_options))},
      started{std::chrono::steady_clock::now()},
      channel{link->open_channel(Type::Exec, wire::encode(make_request(options)), "the command with its environment")} {
}

Process::Impl::Impl(std::shared_ptr<Link> the_link, Type type, std::string_view request, std::string_view what,
                    ExecOptions the_options)
    : link{std::move(the_link)},
      options{std::move(the_options)},
      started{std::chrono::steady_clock::now()},
      channel{link->open_channel(type, request, what)} {}

Process::Impl::~Impl() { link->abandon(channel); }

Process::Process(std::shared_ptr<Impl> impl) : impl_{std::move(impl)} {}
Process::Process(Process&&) noexcept = default;
Process& Process::operator=(Process&&) noexcept = default;
Process::~Process() = default;

ExecResult Process::wait() {
  ScopeGuard end{[&] { impl_->link->abandon(impl_->channel); }};
  ExecResult result = Waiting{*impl_}.run();
  end.release();
  return result;
}

void Process::send_signal(int number) {
  if (number < 1 || number > 64) throw Error{ErrorCode::InvalidArgument, fmt::format("{} is not a signal", number)};
  wire::Signal request;
  request.number = static_cast<std::uint32_t>(number);
  impl_->link->send(impl_->channel, Type::Signal, wire::encode(request));
}

void Process::resize(WindowSize size) {
  wire::Resize request;
  request.rows = size.rows;
  request.columns = size.columns;
  impl_->link->send(impl_->channel, Type::Resize, wire::encode(request));
}

}  // namespace fireclaw::guest
