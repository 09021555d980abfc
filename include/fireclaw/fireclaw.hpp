#pragma once

/// All of the public API.
#include "fireclaw/agent.hpp"
#include "fireclaw/engine.hpp"
#include "fireclaw/error.hpp"
#include "fireclaw/exec.hpp"
#include "fireclaw/host.hpp"
#include "fireclaw/image.hpp"
#include "fireclaw/log.hpp"
#include "fireclaw/network.hpp"
#include "fireclaw/pool.hpp"
#include "fireclaw/service.hpp"
#include "fireclaw/snapshot.hpp"
#include "fireclaw/version.hpp"
#include "fireclaw/vm.hpp"
#include "fireclaw/workspace.hpp"
