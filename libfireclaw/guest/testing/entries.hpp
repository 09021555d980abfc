#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "guest/wire/wire.hpp"

namespace fireclaw::guest::testing {

/// An entry of a tree as a sender makes it.
inline wire::Entry entry_of(wire::EntryKind kind, std::string name, std::uint32_t mode = 0644, std::string link = {}) {
  wire::Entry entry;
  entry.kind = kind;
  entry.name = std::move(name);
  entry.mode = mode;
  entry.mtime_s = 1000000000;
  entry.link = std::move(link);
  return entry;
}

}  // namespace fireclaw::guest::testing
