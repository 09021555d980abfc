#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/deadline.hpp"

namespace fireclaw::http {

struct DownloadOptions {
  /// What the file must hash to: 64 hexadecimal digits. Empty: not checked, and nothing can be resumed.
  std::string sha256;
  Deadline deadline = Deadline::never();
  std::stop_token stop;
  /// Bytes there so far and in all (0: unknown).
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;
  unsigned max_redirects = 5;
  /// A larger file is refused as soon as that is known.
  std::uint64_t max_bytes = std::uint64_t{4} << 30;
  /// Given up if not a byte arrives for so long.
  std::chrono::seconds stall_limit{60};
};

struct Downloaded {
  std::string sha256;
  std::uint64_t bytes = 0;
  /// Bytes that an earlier, interrupted call had fetched already.
  std::uint64_t resumed_bytes = 0;
};

/// Fetches an http or https URL into `target`, which is replaced in one step once the file is whole and its digest
/// right. Until then the bytes are in `target` + ".part", which stays behind when the connection is lost and is
/// completed by the next call. A redirect from https to http is refused.
///
/// Error(InvalidArgument) for another kind of URL; Error(NotFound) for 404 and 410; Error(PermissionDenied) for 401
/// and 403; Error(Corrupt) for a wrong digest (the part is removed); Error(InvalidState) if another process is
/// fetching the same file; Error(Io), Error(Timeout), Error(Cancelled).
Downloaded download(const std::string& url, const std::filesystem::path& target, const DownloadOptions& options);

/// A small answer to an http or https URL, in memory. Of the options, `sha256` and `progress` do not count. Errors as
/// those of download() that do not concern files.
std::string fetch_text(const std::string& url, const DownloadOptions& options);

/// Where redirects from `url` may lead, as libcurl names protocols.
const char* redirect_protocols(std::string_view url);

}  // namespace fireclaw::http
