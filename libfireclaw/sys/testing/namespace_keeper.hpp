#pragma once

#include <doctest/doctest.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <utility>

#include "sys/fd.hpp"
#include "sys/inside.hpp"
#include "sys/process.hpp"

namespace fireclaw::sys::testing {

/// A process with its own namespaces, which lives as long as this object.
class Keeper {
 public:
  Keeper() {
    if (find_namespace_obstacle()) {
      std::cout << "skipped: this machine does not permit namespaces of one's own\n";
      std::exit(77);
    }
    auto ready = make_pipe();
    const auto user = std::to_string(::geteuid());
    const auto group = std::to_string(::getegid());
    pid_ = check(::fork(), "fork");
    if (pid_ == 0) {
      if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) ::_exit(1);
      std::ofstream{"/proc/self/setgroups"} << "deny";
      std::ofstream{"/proc/self/uid_map"} << "0 " << user << " 1";
      std::ofstream{"/proc/self/gid_map"} << "0 " << group << " 1";
      write_all(ready.write.get(), std::string_view{"."});
      for (;;) ::pause();
    }
    std::byte answer{};
    REQUIRE(read_some(ready.read.get(), {&answer, 1}) == 1);
    id_ = identify(pid_).value();
  }
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;
  ~Keeper() { end(); }
  void end() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(std::exchange(pid_, 0), nullptr, 0);
  }
  [[nodiscard]] const ProcessId& id() const { return id_; }
  [[nodiscard]] NetworkNamespace namespaces() const { return NetworkNamespace::of(id_); }
  [[nodiscard]] std::string network() const {
    return std::filesystem::read_symlink("/proc/" + std::to_string(pid_) + "/ns/net").native();
  }

 private:
  pid_t pid_ = 0;
  ProcessId id_;
};

}  // namespace fireclaw::sys::testing
