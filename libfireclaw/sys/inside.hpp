#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string_view>
#include <utility>

#include "sys/fd.hpp"
#include "sys/process.hpp"

namespace fireclaw::sys {

/// A user namespace and a network namespace that belongs to it, kept by this object. The user must be the one who made
/// them.
struct NetworkNamespace {
  Fd user;
  Fd network;

  /// Those of a process. Error(NotFound) if it is gone.
  static NetworkNamespace of(const ProcessId& process);
};

/// Whether this process could make such namespaces; else why not. Tries it in a child.
std::optional<std::string_view> find_namespace_obstacle();

/// Passes a line of text from the action to its caller.
using Tell = std::function<void(std::string_view text)>;

/// A child that has done its work and is ending. Destruction waits until it has, and so reaps it.
class EndingChild {
 public:
  explicit EndingChild(pid_t pid) noexcept : pid_{pid} {}
  EndingChild(EndingChild&& other) noexcept : pid_{std::exchange(other.pid_, -1)} {}
  EndingChild& operator=(EndingChild&&) = delete;
  ~EndingChild();

 private:
  pid_t pid_;
};

/// Runs `action` in a forked child of this process that has entered the namespaces, where this user is root, and waits
/// for it. Returns the descriptor that it returned. What it throws is thrown here, with code and text; what it tells is
/// passed to `heard` meanwhile. The child is this process's copy with one thread: `action` must not need another, nor a
/// lock that another could have held. Error(InvalidState) if the namespaces' owner does not let it in.
std::optional<Fd> run_inside(const NetworkNamespace& where, const std::function<std::optional<Fd>(const Tell&)>& action,
                             const Tell& heard = {});
/// The same for an action that returns nothing, without waiting for the child's end, which takes long when the kernel
/// has something to take down. The child has closed the standard descriptors, for whose end others may wait.
EndingChild run_inside_unwaited(const NetworkNamespace& where, const std::function<void(const Tell&)>& action,
                                const Tell& heard = {});

}  // namespace fireclaw::sys
