#include "crew/shutdown.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <fstream>
#include <functional>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include <fmt/format.h>

#include "common/files/private_folder.hpp"
#include "common/files/replaced_file.hpp"
#include "fireclaw/error.hpp"

namespace fireclaw::overseer {
namespace {

/// Each waits for a guest and an engine; more at once would keep a small host busy with changing between them.
constexpr std::size_t most_at_once = 16;

struct Ending {
  std::string what;
  std::function<void()> end;
};

std::filesystem::path record_in(const std::filesystem::path& folder) { return folder / "interrupted.json"; }

std::vector<std::string> read(const std::filesystem::path& file) {
  std::ifstream in{file};
  const auto value = nlohmann::json::parse(in, nullptr, false);
  std::vector<std::string> names;
  if (!value.is_array()) return names;
  for (const auto& name : value) {
    if (name.is_string()) names.push_back(name.get<std::string>());
  }
  return names;
}

void write(const std::filesystem::path& folder, const std::vector<std::string>& names) {
  cli::make_private_folder(folder);
  cli::replace_file(record_in(folder), nlohmann::json(names).dump(), 0600);
}

bool is_up(AgentState state) {
  return state == AgentState::Running || state == AgentState::Paused || state == AgentState::Starting;
}

}  // namespace

ShutdownReport shut_down(Agents& agents, const std::filesystem::path& folder, std::chrono::milliseconds limit) {
  const auto until = std::chrono::steady_clock::now() + limit;
  std::vector<Ending> endings;
  // A second call must not forget the agents that the first one ended.
  auto names = read(record_in(folder));
  for (const auto& info : agents.list()) {
    // One that belongs to another process ends with that, which is told to end as well.
    if (!info.detached || !is_up(info.state)) continue;
    endings.push_back({"agent " + info.name, [&agents, name = info.name] { agents.stop(name); }});
    if (std::ranges::find(names, info.name) == names.end()) names.push_back(info.name);
  }
  if (!endings.empty()) write(folder, names);
  for (const auto& name : agents.running_machines()) {
    endings.push_back({"machine " + name, [&agents, name] { agents.stop_machine(name); }});
  }

  ShutdownReport report;
  std::mutex mutex;
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (auto at = next++; at < endings.size(); at = next++) {
      const auto& [what, end] = endings[at];
      std::string problem;
      try {
        if (std::chrono::steady_clock::now() > until) throw Error{ErrorCode::Timeout, "there was no time left for it"};
        end();
      } catch (const std::exception& failed) {
        problem = failed.what();
      }
      const std::scoped_lock lock{mutex};
      if (problem.empty()) {
        report.ended.push_back(what);
      } else {
        report.failed.push_back(fmt::format("{}: {}", what, problem));
      }
    }
  };
  {
    std::vector<std::jthread> workers;
    for (std::size_t i = 0; i < std::min(endings.size(), most_at_once); ++i) workers.emplace_back(work);
  }
  std::ranges::sort(report.ended);
  std::ranges::sort(report.failed);
  return report;
}

std::vector<std::string> take_interrupted(const std::filesystem::path& folder) {
  auto names = read(record_in(folder));
  std::filesystem::remove(record_in(folder));
  return names;
}

}  // namespace fireclaw::overseer
