#include "guest/session.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/scope.hpp"
#include "guest/process.hpp"
#include "guest/session_impl.hpp"

namespace fireclaw::guest {
namespace {

using namespace std::chrono_literals;
using wire::Type;

/// If guestd's first answer took longer than this, the time that it was told is told again.
constexpr auto clock_tolerance = 50ms;

constexpr std::size_t longest_step_name = 32;
/// A year: a guest's times stay below what fits.
constexpr std::uint64_t longest_session_ns = std::uint64_t{366} * 24 * 3600 * 1'000'000'000;

std::int64_t nanoseconds_of(std::chrono::system_clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

std::string make_request(const Identity& identity) {
  wire::Configure request;
  request.hostname = identity.hostname;
  request.machine_id = identity.machine_id;
  request.entropy.assign(reinterpret_cast<const char*>(identity.entropy.data()), identity.entropy.size());
  request.time_ns = nanoseconds_of(identity.time.value_or(std::chrono::system_clock::now()));
  if (identity.interface) {
    request.has_interface = true;
    request.interface = identity.interface->name;
    request.address = identity.interface->address;
    request.gateway = identity.interface->gateway;
    request.mac = identity.interface->mac;
  }
  request.nameservers = identity.nameservers;
  return wire::encode(request);
}

std::string make_request(const Mount& mount) {
  wire::Mount request;
  request.device = mount.device;
  request.target = mount.target;
  request.type = mount.type;
  request.read_only = mount.read_only;
  request.options = mount.options;
  return wire::encode(request);
}

std::string mounting(const Mount& mount) { return fmt::format("mounting the guest's {}", mount.target); }

/// What the guest says is shown to users.
bool is_sound(const wire::StepTimes& times) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || c == ' '; };
  std::uint64_t before = 0;
  for (const wire::Step& step : times.list) {
    const bool is_name = step.name.size() <= longest_step_name && std::ranges::all_of(step.name, is_letter);
    if (!is_name || step.ns < before || step.ns > longest_session_ns) return false;
    before = step.ns;
  }
  return times.list.size() <= wire::max_steps;
}

constexpr std::string_view configuring = "configuring the guest";
constexpr std::string_view setting_clock = "setting the guest's clock";

}  // namespace

void Session::Impl::ask(Type type, std::string_view payload, Deadline deadline, std::string_view what) {
  const Link::ChannelPtr channel = link->open_channel(type, payload, what);
  ScopeGuard undo{[&] { link->abandon(channel); }};
  link->finish(channel, deadline, {}, what);
  undo.release();
}

ExecResult Session::Impl::call(Type type, std::string_view request, std::string_view what, ExecOptions options) {
  return Process{std::make_shared<Process::Impl>(link, type, request, what, std::move(options))}.wait();
}

/// The greeting with the configuration in it.
class Opening {
 public:
  Opening(Link& link, const std::optional<Identity>& identity) : link_{link}, identity_{identity} {
    if (!identity_) return;
    configure_ = link_.open_channel(Type::Configure, make_request(*identity_), configuring);
    told_at_ = std::chrono::steady_clock::now();
    for (const Mount& mount : identity_->mounts)
      mounts_.push_back(link_.open_channel(Type::Mount, make_request(mount), mounting(mount)));
  }

  GuestInfo greet(Deadline deadline, const std::stop_token& stop) {
    const wire::Hello hello = link_.greet(deadline, stop);
    if (identity_) {
      const auto passed = std::chrono::steady_clock::now() - told_at_;
      if (passed > clock_tolerance) correct_clock(passed, deadline, stop);
      link_.finish(configure_, deadline, stop, configuring);
      for (std::size_t i = 0; i < mounts_.size(); ++i)
        link_.finish(mounts_[i], deadline, stop, mounting(identity_->mounts[i]));
    }
    GuestInfo info;
    info.protocol = hello.protocol;
    info.guestd_version = hello.guestd_version;
    info.kernel_release = hello.kernel_release;
    info.uptime_ms = hello.uptime_ms;
    info.features = hello.features;
    return info;
  }

 private:
  void correct_clock(std::chrono::nanoseconds passed, Deadline deadline, const std::stop_token& stop) {
    wire::SetClock request;
    request.time_ns = identity_->time ? nanoseconds_of(*identity_->time) + passed.count()
                                      : nanoseconds_of(std::chrono::system_clock::now());
    link_.finish(link_.open_channel(Type::SetClock, wire::encode(request), setting_clock), deadline, stop,
                 setting_clock);
  }

  Link& link_;
  const std::optional<Identity>& identity_;
  Link::ChannelPtr configure_;
  std::vector<Link::ChannelPtr> mounts_;
  std::chrono::steady_clock::time_point told_at_;
};

Session Session::open(sys::Fd stream, std::optional<sys::Fd> claim, const std::optional<Identity>& identity,
                      Deadline deadline, const std::stop_token& stop) {
  auto impl = std::make_shared<Impl>(std::move(stream), std::move(claim));
  Opening opening{*impl->link, identity};
  impl->info = opening.greet(deadline, stop);
  return Session{std::move(impl)};
}

Opened Session::open_and_start(sys::Fd stream, std::optional<sys::Fd> claim, const std::optional<Identity>& identity,
                               ExecOptions options, Deadline deadline, const std::stop_token& stop) {
  auto impl = std::make_shared<Impl>(std::move(stream), std::move(claim));
  Opening opening{*impl->link, identity};
  auto process = std::make_shared<Process::Impl>(impl->link, std::move(options));
  impl->info = opening.greet(deadline, stop);
  return {Session{std::move(impl)}, Process{std::move(process)}};
}

Session::Session(std::shared_ptr<Impl> impl) : impl_{std::move(impl)} {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

const GuestInfo& Session::info() const { return impl_->info; }

void Session::configure(const Identity& identity, Deadline deadline) {
  impl_->ask(Type::Configure, make_request(identity), deadline, configuring);
}

void Session::mount(const Mount& mount, Deadline deadline) {
  impl_->ask(Type::Mount, make_request(mount), deadline, mounting(mount));
}

void Session::unmount(const std::string& target, Deadline deadline) {
  wire::Unmount request;
  request.target = target;
  impl_->ask(Type::Unmount, wire::encode(request), deadline, fmt::format("unmounting the guest's {}", target));
}

Process Session::start(ExecOptions options) {
  return Process{std::make_shared<Process::Impl>(impl_->link, std::move(options))};
}

ExecResult Session::exec(ExecOptions options) { return start(std::move(options)).wait(); }

void Session::prepare_snapshot(Deadline deadline) {
  impl_->ask(Type::PrepareSnapshot, {}, deadline, "preparing the guest for a snapshot");
  impl_->link->close();
}

void Session::shutdown(std::chrono::milliseconds grace, Deadline deadline) {
  wire::Shutdown request;
  request.grace_ms = static_cast<std::uint32_t>(std::clamp<std::int64_t>(grace.count(), 0, 3600 * 1000));
  constexpr std::string_view what = "asking the guest to shut down";
  const Link::ChannelPtr channel = impl_->link->open_channel(Type::Shutdown, wire::encode(request), what);
  const ScopeGuard undo{[&] { impl_->link->abandon(channel); }};
  try {
    impl_->link->finish(channel, deadline, {}, what);
  } catch (const Error& error) {
    // With nothing left to end it may be gone before its answer has got through.
    if (error.code() != ErrorCode::Guest || !impl_->link->is_over()) throw;
  }
}

void Session::set_clock(Deadline deadline) {
  wire::SetClock request;
  request.time_ns = nanoseconds_of(std::chrono::system_clock::now());
  impl_->ask(Type::SetClock, wire::encode(request), deadline, setting_clock);
}

void Session::ping(Deadline deadline) { impl_->ask(Type::Ping, {}, deadline, "asking the guest for a sign of life"); }

std::vector<std::pair<std::string, std::chrono::nanoseconds>> Session::steps(Deadline deadline) {
  if ((info().features & wire::feature_steps) == 0) return {};
  constexpr std::string_view what = "asking the guest where its time went";
  const Link::ChannelPtr channel = impl_->link->open_channel(Type::Steps, {}, what);
  ScopeGuard undo{[&] { impl_->link->abandon(channel); }};
  const std::string payload = impl_->link->answer(channel, Type::StepTimes, deadline, what);
  undo.release();
  wire::StepTimes times;
  if (!wire::decode(payload, times) || !is_sound(times)) impl_->link->break_off("its list of steps makes no sense");
  std::vector<std::pair<std::string, std::chrono::nanoseconds>> steps;
  std::uint64_t before = 0;
  for (const wire::Step& step : times.list)
    steps.emplace_back(step.name, std::chrono::nanoseconds{step.ns - std::exchange(before, step.ns)});
  return steps;
}

}  // namespace fireclaw::guest
