#pragma once

#include "fireclaw/copy.hpp"
#include "guest/tree/writer.hpp"

namespace fireclaw::guest {

/// How a tree that a guest describes is written to the host.
inline TreeWriter::Options untrusted(const CopyOptions& options) {
  TreeWriter::Options how;
  // Set-user-id and the like are not for a guest to give to files on the host.
  how.mode_mask = 0777;
  how.obey_umask = true;
  how.follow_target = false;
  how.drop_outward_links = options.links == CopyLinks::Inside;
  how.limits = TreeWriter::Limits{options.max_bytes, options.max_files, options.max_bytes == 0};
  return how;
}

}  // namespace fireclaw::guest
