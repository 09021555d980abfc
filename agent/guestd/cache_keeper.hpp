#pragma once

#include <cstdint>
#include <string_view>

namespace fireclaw::guestd {

/// What a machine had done and cached at one moment.
struct CacheSample {
  std::int64_t now_ms = 0;
  /// The time that its CPUs have worked.
  std::int64_t busy_ms = 0;
  /// Content of files in memory.
  std::int64_t cached_kib = 0;
};

/// From the content of /proc/meminfo and /proc/stat.
CacheSample cache_sample(std::int64_t now_ms, std::string_view meminfo, std::string_view stat);

/// Notices that an idle machine keeps much content of files in memory that it did not have when it was told who it is,
/// from samples that are taken now and then: 16 MiB, and at least as much as it came with. The kernel drops both, and
/// what a snapshot came with is shared by its clones until they have to read it again.
class CacheKeeper {
 public:
  /// The host has said who the machine is.
  void told() { fresh_ = true; }
  /// Whether the content of files is to be dropped from memory.
  bool look(const CacheSample& sample);

 private:
  /// Since told(), or since it was dropped, no sample has been taken.
  bool fresh_ = true;
  std::int64_t least_kib_ = 0;
  std::int64_t idle_since_ms_ = 0;
  CacheSample last_;
};

}  // namespace fireclaw::guestd
