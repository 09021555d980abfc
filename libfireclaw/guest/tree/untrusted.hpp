#pragma once

#include "fireclaw/copy.hpp"
#include "guest/tree/writer.hpp"

namespace fireclaw::guest {

/// The writer's options for a tree from a guest that goes to the host.
inline TreeWriter::Options untrusted(const CopyOptions& options) {
  TreeWriter::Options how;
  // A guest must not give files on the host set-user-id and similar bits.
  how.mode_mask = 0777;
  how.obey_umask = true;
  how.follow_target = false;
  how.drop_outward_links = options.links == CopyLinks::Inside;
  how.limits = TreeWriter::Limits{options.max_bytes, options.max_files, options.max_bytes == 0};
  return how;
}

}  // namespace fireclaw::guest
