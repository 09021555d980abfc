#include "crew/audit.hpp"

#include <fcntl.h>
#include <gnutls/crypto.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "fireclaw/error.hpp"
#include "irc/text.hpp"

namespace fireclaw::overseer {
namespace {

constexpr std::uintmax_t most_bytes = std::uintmax_t{8} << 20;
constexpr std::uintmax_t most_refused_bytes = most_bytes / 8;
constexpr std::string_view refused = "refused";
constexpr std::string_view link_begin = R"(,"chain":")";
constexpr std::string_view link_end = "\"}";
constexpr std::size_t digest_size = 64;

/// In hexadecimal digits.
std::string sha256(std::string_view bytes) {
  std::array<unsigned char, 32> digest{};
  if (::gnutls_hash_fast(GNUTLS_DIG_SHA256, bytes.data(), bytes.size(), digest.data()) < 0) {
    throw Error{ErrorCode::Internal, "SHA-256 cannot be computed"};
  }
  std::string text;
  for (const auto byte : digest) text += fmt::format("{:02x}", byte);
  return text;
}

std::filesystem::path before(const std::filesystem::path& path) { return path.native() + ".1"; }

std::string chained(std::string_view chain, std::string_view text) { return sha256(fmt::format("{}{}", chain, text)); }

/// A line without its link, and the link; none if it has none.
struct Parts {
  std::string text;
  std::string chain;
};

std::optional<Parts> split(std::string_view line) {
  const auto size = link_begin.size() + digest_size + link_end.size();
  if (line.size() <= size || !line.ends_with(link_end)) return std::nullopt;
  const auto tail = line.substr(line.size() - size);
  if (!tail.starts_with(link_begin)) return std::nullopt;
  return Parts{std::string{line.substr(0, line.size() - size)} + "}",
               std::string{tail.substr(link_begin.size(), digest_size)}};
}

/// Calls `use` with each line and whether it has an end. False if there is no such file.
bool each_line(const std::filesystem::path& path, const std::function<void(const std::string&, bool whole)>& use) {
  std::ifstream file{path, std::ios::binary};
  if (!file) return false;
  for (std::string line; std::getline(file, line);) use(line, !file.eof());
  return true;
}

}  // namespace

AuditLog::AuditLog(std::filesystem::path path) : path_{std::move(path)} {
  const auto note = [this](const std::string& line, bool) {
    const auto parts = split(line);
    chain_ = parts ? parts->chain : std::string{};
  };
  each_line(before(path_), note);
  bool torn = false;
  open();
  each_line(path_, [&](const std::string& line, bool whole) {
    note(line, whole);
    torn = !whole;
    if (line.find(R"("result":"refused")") != std::string::npos) refused_bytes_ += line.size() + 1;
  });
  // A torn line from a power failure: the next line must not become part of it.
  if (torn && ::write(file_.get(), "\n", 1) == 1) ++bytes_;
}

void AuditLog::open() {
  file_ = cli::Fd{::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)};
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
  const auto text = json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  auto chain = chained(chain_, text);
  const auto line =
      fmt::format("{}{}{}{}\n", std::string_view{text}.substr(0, text.size() - 1), link_begin, chain, link_end);
  if (entry.result == refused) {
    if (refused_bytes_ + line.size() > most_refused_bytes) return;
    refused_bytes_ += line.size();
  }
  if (bytes_ + line.size() > most_bytes && bytes_ > 0) {
    std::error_code ignored;  // a failure shows when it is opened again
    std::filesystem::rename(path_, before(path_), ignored);
    open();
    refused_bytes_ = 0;
  }
  // In one piece: a line is never torn by another's.
  const auto written = ::write(file_.get(), line.data(), line.size());
  if (written != static_cast<ssize_t>(line.size())) {
    const std::string why = written < 0 ? std::strerror(errno) : "the disk is full";
    if (written > 0 && ::ftruncate(file_.get(), static_cast<off_t>(bytes_)) != 0)
      bytes_ += static_cast<std::uintmax_t>(written);
    throw Error{ErrorCode::Io, fmt::format("audit log '{}' cannot be written: {}", path_.native(), why)};
  }
  bytes_ += line.size();
  chain_ = std::move(chain);
}

AuditReport verify_audit(const std::filesystem::path& path) {
  AuditReport report;
  const auto read = [&](const std::filesystem::path& file) {
    std::size_t number = 0;
    return each_line(file, [&](const std::string& line, bool whole) {
      ++number;
      const auto parts = whole ? split(line) : std::nullopt;
      const auto broken = [&](std::string_view why) {
        return Error{ErrorCode::Corrupt, fmt::format("line {} of '{}' {}", number, file.native(), why)};
      };
      if (!parts && (!whole || !report.chain.empty())) {
        throw broken("is not one that was written by the overseer: it has no chain");
      }
      if (parts && chained(report.chain, parts->text) != parts->chain) {
        // The file that it continued from has been replaced.
        if (report.lines > 0 || file == path) throw broken("was changed, or lines before it were changed or taken out");
        report.complete = false;
      }
      ++report.lines;
      if (!parts) ++report.unchained;
      report.chain = parts ? parts->chain : std::string{};
    });
  };
  read(before(path));
  if (!read(path)) throw Error{ErrorCode::NotFound, fmt::format("there is no audit log '{}'", path.native())};
  return report;
}

}  // namespace fireclaw::overseer
