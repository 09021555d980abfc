#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/clock.hpp"
#include "base/logger.hpp"
#include "gateway/records/counters.hpp"
#include "gateway/records/sources.hpp"
#include "json/record.hpp"
#include "sys/fd.hpp"

namespace fireclaw::gateway {

/// The part of fireclaw that refused.
enum class RefusedBy { Firewall, Names, Llm, Irc, Proxy };
inline constexpr std::array all_refusers = {RefusedBy::Firewall, RefusedBy::Names, RefusedBy::Llm, RefusedBy::Irc,
                                            RefusedBy::Proxy};
/// "firewall", "names", "llm", "irc", "proxy".
std::string_view to_string(RefusedBy refuser) noexcept;

/// Something that a machine wanted, and why it was refused. Members that do not apply keep their defaults.
struct Refused {
  RefusedBy by = RefusedBy::Firewall;
  /// "tcp", "udp", "icmp", ...
  std::string protocol = {};
  /// In dotted decimals.
  std::string address = {};
  std::uint16_t port = 0;
  /// A host name, as the machine wrote it.
  std::string name = {};
  /// One word for logs and metrics, of a set that is fixed: "allowlist", "tokens_per_day", ...
  std::string rule = {};
  /// For people, one line.
  std::string reason = {};

  bool operator==(const Refused&) const = default;
};

/// A line of the log.
struct RefusalLine {
  std::chrono::system_clock::time_point time;
  /// The machine's id, its name, and its agent's; the last two can be empty.
  std::string machine;
  std::string machine_name;
  std::string agent;
  Refused what;
  /// How many earlier refusals of this machine have no line: repeated within a minute, or too many at once.
  std::uint64_t unwritten = 0;

  bool operator==(const RefusalLine&) const = default;
};

/// How much of the log one machine can fill, and how long the log can be.
struct RefusalLimits {
  /// Lines of one machine: at once, and in the long run.
  double machine_lines = 30;
  double machine_lines_per_second = 0.5;
  /// The same refusal of a machine is written once in this time.
  std::chrono::seconds same{60};
  /// A longer file is put aside, over the one before.
  std::size_t file_bytes = std::size_t{4} << 20;
};

/// Counts and logs everything that the home folder's machines are refused, one JSON object per line. Use from one
/// thread; several objects, in any processes, can write to one file.
class Refusals {
 public:
  /// Writes to `file`, and makes its folder; empty: no file. The other two arguments must outlive it. A write that
  /// fails is reported once to `logger`.
  Refusals(std::filesystem::path file, const Clock& clock, Logger logger, RefusalLimits limits = {});

  /// Every part that refuses something calls this. Never throws, and takes microseconds.
  void add(const Client& client, const Refused& what) noexcept;
  /// By machine or agent, refuser and rule, since this was made.
  [[nodiscard]] std::vector<RefusalCounts> counts() const;

 private:
  using Key = std::tuple<RefusedBy, std::string, std::string, std::uint16_t, std::string, std::string>;
  /// The state of a machine that was refused something.
  struct Machine {
    double lines = 0;
    std::chrono::steady_clock::time_point counted;
    std::uint64_t unwritten = 0;
    std::map<Key, std::chrono::steady_clock::time_point> written;
  };

  void count(const Client& client, const Refused& what);
  bool deserves_line(Machine& machine, const Refused& what);
  void write(const RefusalLine& line);

  std::filesystem::path file_;
  const Clock& clock_;
  Logger logger_;
  RefusalLimits limits_;
  std::map<std::string, Machine, std::less<>> machines_;
  /// By machine or agent, refuser, rule.
  std::map<std::tuple<std::string, RefusedBy, std::string>, std::uint64_t> counts_;
  bool failed_ = false;
};

/// Whether it is about the agent or the machine of this name or id; every line is about "".
bool is_about(const RefusalLine& line, std::string_view name);

/// The last `most` lines of the log that are about the agent or machine of this name or id, oldest first; all if it is
/// empty. Torn lines are left out.
std::vector<RefusalLine> read_refusals(const std::filesystem::path& file, std::string_view name, std::size_t most);

/// Reads new lines of the log.
class RefusalTail {
 public:
  /// The folder of `file` must be there.
  explicit RefusalTail(std::filesystem::path file);
  /// Readable when there may be more.
  [[nodiscard]] int fd() const noexcept { return changes_.get(); }
  /// The lines since the last call, or since this was made.
  std::vector<RefusalLine> read();

 private:
  void read_rest(std::string& text);

  std::filesystem::path file_;
  sys::Fd changes_;
  std::optional<sys::Fd> in_;
  std::string partial_;
};

void describe(auto& field, json::Is<RefusalLine> auto& line) {
  field("time", line.time);
  field("machine", line.machine);
  field.rare("machine_name", line.machine_name, {});
  field.rare("agent", line.agent, {});
  auto& what = line.what;
  field.choice("by", what.by, all_refusers, "is not what refuses something");
  field.rare("protocol", what.protocol, {});
  field.rare("address", what.address, {});
  field.rare("port", what.port, {});
  field.rare("name", what.name, {});
  field("rule", what.rule);
  field("reason", what.reason);
  field.rare("unwritten", line.unwritten, {});
}

}  // namespace fireclaw::gateway
