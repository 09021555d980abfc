#pragma once

#include <string>
#include <string_view>

#include "schema.hpp"

namespace fake {

/// What the stand-in is to be and to do wrong. Read from the file "<program>.knobs", lines of "name=value", beside
/// the name under which it was called: the driver starts it with an empty environment.
struct Knobs {
  std::string version = "1.17.0-dev";
  /// Milliseconds until the API's socket appears, from there until it listens, and from the machine's start until
  /// the guest is up.
  int start_ms = 0;
  int listen_ms = 0;
  int boot_ms = 0;
  /// Printed to standard error, then it exits.
  std::string crash_at_start;
  /// The API's socket never appears.
  bool hang_at_start = false;
  /// Requests to this path are never answered.
  std::string hang_at;
  /// Requests to this path are done at once, and answered only so many milliseconds later; nothing else is meanwhile.
  std::string slow_at;
  int slow_ms = 0;
  /// A file to which each request that is done is appended: "PATCH /vm {...}".
  std::string requests;
  /// The process kills itself when asked for this path; "listen": before it listens.
  std::string die_at;
  /// The guest never dials out and turns every connection down.
  bool no_guest = false;
  /// The first connection after a load is dropped, as it can happen before 1.16.
  bool drop_first = false;
  /// Writing a snapshot's memory finds the disk full.
  bool disk_full = false;
  /// A tap that somebody else has open.
  std::string busy_tap;
  /// Taps are opened, as the real one does: they must be there.
  bool open_taps = false;
  /// Written to the console when the machine starts, and how often.
  std::string console;
  int console_times = 1;
  /// The process that it ends with, so that a test that is killed leaves none behind, however it was started. 0: none.
  int owner = 0;
  /// The program that plays the guest: "<guest> --serve-fd N" for each connection. Empty: one that echoes lines, and
  /// reboots at the line "reboot".
  std::string guest;
  /// The socket of a process that plays the guests instead, with their disks mounted: see
  /// agent/guestd/testing/mounting_guest.cpp.
  std::string guests;

  [[nodiscard]] Version api() const;
};

Knobs read_knobs(std::string_view program);

}  // namespace fake
