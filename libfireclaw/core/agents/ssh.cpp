#include <utility>

#include <fmt/format.h>

#include "base/text.hpp"
#include "core/agents/guest.hpp"
#include "core/agents/impl.hpp"
#include "core/networks/anchor.hpp"
#include "fireclaw/error.hpp"
#include "guest/session.hpp"
#include "guest/ssh.hpp"
#include "image/tools.hpp"
#include "sys/file.hpp"

namespace fireclaw {
namespace {

constexpr std::chrono::seconds server_limit{60};
constexpr std::uint16_t ssh_port = 22;
constexpr std::size_t max_key_bytes = 4096;

/// Has the guest listen, and returns its host key. It comes over guestd's channel, which nobody can get in between of.
std::string ensure_server(guest::Session& session, std::string public_key, Deadline deadline) {
  ExecOptions start;
  start.argv = {std::string{core::ssh_server_program}, std::to_string(ssh_port)};
  start.user = "root";
  start.cwd = "/";
  start.input = std::move(public_key);
  start.timeout = std::chrono::duration_cast<std::chrono::milliseconds>(server_limit);
  if (const auto left = deadline.remaining()) {
    start.timeout = std::chrono::duration_cast<std::chrono::milliseconds>(*left);
  }
  auto done = session.exec(std::move(start));
  if (done.timed_out) throw Error{ErrorCode::Timeout, "starting the SSH server in the guest timed out"};
  if (done.exit_code == 127) {
    throw Error{ErrorCode::Unsupported,
                "the agent's image has no SSH server; build it again with: fireclaw setup --agents"};
  }
  if (done.exit_code != 0)
    throw Error{ErrorCode::Guest, fmt::format("cannot start the SSH server: {}", one_line(done.err))};
  return std::move(done.out);
}

}  // namespace

struct AgentShell::Impl {
  std::shared_ptr<VM::Impl> machine;
  guest::SshSession session;
  ExecOptions options;
};

AgentShell::AgentShell(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
AgentShell::AgentShell(AgentShell&&) noexcept = default;
AgentShell& AgentShell::operator=(AgentShell&&) noexcept = default;
AgentShell::~AgentShell() = default;

ExecResult AgentShell::wait() {
  return impl_->options.argv.empty() ? impl_->session.shell(impl_->options) : impl_->session.exec(impl_->options);
}

void AgentShell::resize(WindowSize size) { impl_->session.resize(size); }

AgentShell Agent::ssh(ExecOptions options) const {
  const auto record = agents_->require(name_);
  auto machine = agents_->machine(record);
  const auto address = agents_->describe(record).address;
  if (address.empty()) {
    throw Error{ErrorCode::Unsupported,
                fmt::format("agent '{}' has no address to log in to (network {}); use: fireclaw "
                            "agent exec -i --tty {} bash",
                            name_, machine->record.network, name_)};
  }
  const auto deadline = Deadline::after(server_limit);
  const auto key = agents_->host->layout.keys() / "id_ed25519";
  guest::SshLogin login{std::string{core::agent_user}, key, {}};
  login.host_key = ensure_server(*machine->session(deadline, options.stop),
                                 sys::read_file(key.native() + ".pub", max_key_bytes), deadline);
  auto session =
      guest::SshSession::open(core::connect_to_machine(*agents_->host, address, ssh_port, deadline, options.stop),
                              login, deadline, options.stop);
  return AgentShell{
      std::make_unique<AgentShell::Impl>(AgentShell::Impl{std::move(machine), std::move(session), std::move(options)})};
}

}  // namespace fireclaw
