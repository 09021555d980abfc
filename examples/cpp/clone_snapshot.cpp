// Makes ten machines from one, all at once: each has the first one's memory, and its own identity.
//
// usage: clone_snapshot
//
// In the first machine a process thinks of a word and keeps it in a variable, nowhere else. The machine is saved, then
// restored ten times. Every clone is asked for the word: the process is there, with the same pid, and knows it.

#include <chrono>
#include <future>
#include <iomanip>
#include <iostream>
#include <string>
#include <vector>

#include <fireclaw/fireclaw.hpp>

#include "open_host.hpp"

namespace {

/// Says its word to the reader of the pipe.
constexpr auto word_keeper = R"(
  trap '' PIPE
  word=$(tr -dc a-z < /dev/urandom | head -c 12)
  while true; do echo "$word, says process $$" > /tmp/ask; done
)";

std::string output_of(fireclaw::VM& vm, const std::string& line) { return vm.exec(line).out; }

struct Clone {
  fireclaw::VM vm;
  std::string said;
  std::chrono::milliseconds took;
};

Clone make_clone(const fireclaw::Snapshot& snapshot) {
  const auto began = std::chrono::steady_clock::now();
  auto vm = snapshot.restore();
  auto said = output_of(vm, "echo $(hostname) $(cut -c1-8 /etc/machine-id): $(head -n 1 /tmp/ask)");
  const auto took = std::chrono::steady_clock::now() - began;
  return {std::move(vm), std::move(said), std::chrono::duration_cast<std::chrono::milliseconds>(took)};
}

}  // namespace

int main() {
  try {
    const auto host = open_host();
    auto first = host.vms().run();
    output_of(first, "mkfifo /tmp/ask");
    fireclaw::ServiceOptions keeper;
    keeper.name = "word-keeper";
    keeper.argv = {"/bin/sh", "-c", word_keeper};
    first.start_service(keeper);
    std::cout << "the first machine: " << output_of(first, "head -n 1 /tmp/ask");
    const auto snapshot = first.snapshot("word-keeper-" + first.info().id);

    std::vector<std::future<Clone>> restoring;
    for (int number = 0; number < 10; ++number) {
      restoring.push_back(std::async(std::launch::async, [&] { return make_clone(snapshot); }));
    }
    std::vector<Clone> clones;  // All ten run until the end of this block.
    for (auto& clone : restoring) clones.push_back(clone.get());
    host.snapshots().remove(snapshot.name());  // Machines restored from it continue.

    for (const auto& clone : clones) std::cout << std::setw(5) << clone.took.count() << " ms: " << clone.said;
    return 0;
  } catch (const fireclaw::Error& error) {
    std::cerr << "clone_snapshot: " << error.what() << '\n';
    return 1;
  }
}
