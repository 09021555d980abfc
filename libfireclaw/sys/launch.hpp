#pragma once

#include <sys/types.h>

#include "sys/process.hpp"

namespace fireclaw::sys {

struct Launched {
  pid_t pid;
  Fd pidfd;
};

/// Makes a child of the *calling thread* and executes the program in it; throws if that fails.
Launched launch(const SpawnSpec& spec);

/// launch() on a thread that lives as long as this process.
Launched launch_from_lasting_thread(const SpawnSpec& spec);

}  // namespace fireclaw::sys
