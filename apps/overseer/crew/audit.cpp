#include "crew/audit.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include <fmt/format.h>

#include "fireclaw/error.hpp"
#include "irc/text.hpp"

namespace fireclaw::overseer {
namespace {

constexpr std::uintmax_t most_bytes = std::uintmax_t{8} << 20;

}  // namespace

AuditLog::AuditLog(std::filesystem::path path) : path_{std::move(path)} { open(); }

void AuditLog::open() {
  file_ = Fd{::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)};
  struct stat about {};
  if (!file_ || ::fstat(file_.get(), &about) != 0) {
    throw Error{ErrorCode::Io,
                fmt::format("audit log '{}' cannot be opened: {}", path_.native(), std::strerror(errno))};
  }
  bytes_ = static_cast<std::uintmax_t>(about.st_size);
}

void AuditLog::add(const AuditEntry& entry) {
  nlohmann::ordered_json json{{"time", iso_time_ms(std::chrono::system_clock::now())}, {"who", entry.who}};
  if (!entry.account.empty()) json["account"] = entry.account;
  if (!entry.where.empty()) json["where"] = entry.where;
  json["command"] = entry.command;
  json["result"] = entry.result;
  if (!entry.detail.empty()) json["detail"] = entry.detail;
  if (entry.took.count() != 0) json["took_ms"] = entry.took.count();
  const auto line = json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  if (bytes_ + line.size() > most_bytes && bytes_ > 0) {
    std::error_code ignored;  // a failure shows when it is opened again
    std::filesystem::rename(path_, path_.native() + ".1", ignored);
    open();
  }
  // In one piece: a line is never torn by another's.
  const auto written = ::write(file_.get(), line.data(), line.size());
  if (written != static_cast<ssize_t>(line.size())) {
    throw Error{ErrorCode::Io, fmt::format("audit log '{}' cannot be written: {}", path_.native(),
                                           written < 0 ? std::strerror(errno) : "the disk is full")};
  }
  bytes_ += line.size();
}

}  // namespace fireclaw::overseer
