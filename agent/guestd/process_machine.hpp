#pragma once

#include "machine.hpp"
#include "processes/services.hpp"

namespace fireclaw::guestd {

class Server;

/// guestd as an ordinary process, for tests and for trying things out: commands and copies are real; changes of the
/// machine itself are checked but not made.
class ProcessMachine : public Machine {
 public:
  explicit ProcessMachine(Loop& loop) : services_{loop, *this} {}

  wire::Hello hello() override;
  std::optional<wire::ExecFailed> spawn(const wire::Exec& request, Spawned& spawned) override;
  std::optional<wire::ExecFailed> spawn_service(const wire::Exec& request, int output, pid_t& pid) override;
  std::optional<wire::ExecFailed> spawn_file_call(const wire::FileCall& call, Spawned& spawned) override;
  void signal_group(pid_t leader, int number) override;
  void signal_process(pid_t pid, int number) override;
  Services& services() override { return services_; }
  wire::Done configure(const wire::Configure& request, Steps& steps) override;
  wire::Done set_clock(std::int64_t) override { return {}; }
  guest::Base files() override;
  std::optional<guest::Failure> find_owner(std::string_view user, guest::TreeWriter::Owner& owner) override;
  wire::Done mount(const wire::Mount& request) override;
  wire::Done unmount(const wire::Unmount& request) override;
  wire::Done prepare_snapshot() override { return {}; }
  void shutdown(std::uint32_t grace_ms) override;

  /// Whether a shutdown was asked for. It continues when the host hangs up.
  [[nodiscard]] bool is_ending() const { return ending_; }
  /// Whether a shutdown was asked for and no service is left.
  [[nodiscard]] bool ended() const { return ending_ && services_.idle(); }

 private:
  Services services_;
  bool ending_ = false;
};

/// The exit status after a shutdown, which would have ended a machine.
inline constexpr int shut_down_status = 7;

/// Serves until a shutdown is over, or the host has hung up and there is none. Returns the exit status:
/// shut_down_status or 0.
int serve(Server& server, const ProcessMachine& machine);

}  // namespace fireclaw::guestd
