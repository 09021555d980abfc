// Starts an agent from a template file, shows its log until Enter is pressed (or standard input or the agent ends), and
// stops it.
//
// usage: start_agent TEMPLATE.json        e.g. start_agent examples/cpp/gardener.json
//
// Needs `fireclaw setup --agents`, and the IRC and LLM servers that the template or config.json name.

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <future>
#include <iostream>
#include <stop_token>

#include <fireclaw/fireclaw.hpp>

#include "open_host.hpp"

namespace {

/// Templates are files of the home folder; the file's name is the template's.
std::string install_template(const fireclaw::Host& host, const std::filesystem::path& file) {
  const auto folder = host.home() / "templates";
  std::filesystem::create_directories(folder);
  std::filesystem::copy_file(file, folder / file.filename(), std::filesystem::copy_options::overwrite_existing);
  return file.stem();
}

/// True if there is something (or the end) on standard input, false if the agent ended before.
bool wait_for_enter(const fireclaw::AgentWatch& agent) {
  pollfd watched[] = {{STDIN_FILENO, POLLIN, 0}, {agent.fd(), POLLIN, 0}};
  while (::poll(watched, 2, -1) < 0 && errno == EINTR) {
  }
  return watched[0].revents != 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: start_agent TEMPLATE.json\n";
    return 2;
  }
  try {
    const auto host = open_host();
    auto agents = host.agents();

    fireclaw::AgentConfig config;
    config.template_name = install_template(host, argv[1]);
    config.detached = false;  // If this program dies, the agent ends too.
    auto agent = agents.start(config);
    const auto info = agent.status();
    std::cout << info.nick << " runs " << info.model << " in machine " << info.vm
              << (info.online ? ", on IRC\n" : ", not on IRC yet\n") << std::flush;

    const auto watch = agent.watch();
    std::stop_source enough;
    auto log = std::async(std::launch::async, [&] {
      const auto show = [](std::string_view text) { std::cout << text << std::flush; };
      agent.follow_logs(10, show, enough.get_token());
    });
    const bool asked_to_stop = wait_for_enter(watch);
    enough.request_stop();

    // For an agent that has ended, reading the log fails: its guest is gone.
    if (!asked_to_stop) {
      std::cerr << agent.name() << " ended by itself\n";
      agents.reconcile();  // Records it, and cleans up after its machine.
      return 1;
    }
    log.get();
    agent.stop();  // It leaves IRC; its workspace stays for the next time.
    std::cout << agent.name() << " is stopped. What it wants to remember:\n" << agent.memory();
    return 0;
  } catch (const fireclaw::Error& error) {
    std::cerr << "start_agent: " << error.what() << '\n';
    return 1;
  }
}
