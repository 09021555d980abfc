#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <utility>

#include "fireclaw/error.hpp"
#include "guest/session_impl.hpp"
#include "guest/wire/files.hpp"

namespace fireclaw::guest {
namespace {

using wire::FileVerb;

/// What a call without a limit may bring.
constexpr std::uint64_t most_bytes = std::uint64_t{64} << 20;
constexpr std::uint64_t most_entries = 65536;
constexpr std::uint64_t largest_limit = 1'000'000;
/// Times that a guest may make up must fit a time_point: the years 1684 to 2255.
constexpr std::int64_t most_seconds = 9'000'000'000;
constexpr std::uint32_t permissions = 07777;

std::string_view doing(FileVerb verb) {
  switch (verb) {
    case FileVerb::Read: return "reading";
    case FileVerb::Write: return "writing";
    case FileVerb::List: return "listing";
    case FileVerb::Stat: return "looking at";
    case FileVerb::Remove: return "removing";
    case FileVerb::MakeDirectory: return "making the folder";
  }
  return "calling for";
}

FileType from_wire(wire::FileKind kind) {
  switch (kind) {
    case wire::FileKind::File: return FileType::File;
    case wire::FileKind::Folder: return FileType::Directory;
    case wire::FileKind::Link: return FileType::Link;
    case wire::FileKind::Other: return FileType::Other;
  }
  return FileType::Other;
}

FileInfo to_info(wire::FileStatus status, std::string name) {
  using std::chrono::system_clock;
  FileInfo info;
  info.name = std::move(name);
  info.type = from_wire(status.kind);
  info.size = status.size;
  info.mode = status.mode & permissions;
  info.uid = status.uid;
  info.gid = status.gid;
  const std::chrono::seconds seconds{std::clamp(status.mtime_s, -most_seconds, most_seconds)};
  const std::chrono::nanoseconds rest{std::min(status.mtime_ns, 999'999'999U)};
  info.modified = system_clock::time_point{std::chrono::duration_cast<system_clock::duration>(seconds + rest)};
  info.target = std::move(status.link);
  return info;
}

Error to_error(const wire::FileAnswer& answer, std::string_view what) {
  std::string text = fmt::format("{}: {}", what, answer.message);
  if (answer.error == EISDIR || answer.error == ENOTDIR || answer.error == ELOOP || answer.error == ENAMETOOLONG)
    return {ErrorCode::InvalidArgument, std::move(text)};
  if (answer.error == ENOTEMPTY) return {ErrorCode::InvalidState, std::move(text)};
  return guest_error(answer.error, std::move(text));
}

/// One call. What the guest sends is bounded by what was asked for.
class FileCall {
 public:
  FileCall(FileVerb verb, const std::string& path, const FileOptions& options) : options_{options} {
    if (path.empty() || path.front() != '/' || path.find('\0') != std::string::npos)
      throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' is not an absolute path", path)};
    if (options.mode && *options.mode > permissions)
      throw Error{ErrorCode::InvalidArgument, fmt::format("{:o} is not a file's mode", *options.mode)};
    request.verb = verb;
    request.path = path;
    request.user = options.user;
    request.has_mode = options.mode.has_value();
    request.mode = options.mode.value_or(0);
    request.append = options.append;
    request.parents = options.parents;
    request.recursive = options.recursive;
    request.follow = options.follow;
    request.offset = options.offset;
    what_ = fmt::format("{} '{}' in the guest", doing(verb), path);
  }

  /// The answer's status; what came before it is in `received`, no more than `most`.
  wire::FileStatus run(Session::Impl& session, std::uint64_t most = 0, std::string_view content = {}) {
    if ((session.info.features & wire::feature_files) == 0)
      throw Error{ErrorCode::Unsupported,
                  fmt::format("{}: the guestd of its image is older than this; build the image again", what_)};
    std::string answer;
    ExecOptions options;
    options.input = content;
    options.timeout = options_.timeout;
    options.stop = options_.stop;
    options.on_stdout = [&](std::string_view bytes) { take(bytes, received, most); };
    options.on_stderr = [&](std::string_view bytes) { take(bytes, answer, wire::max_file_answer_bytes); };
    const ExecResult result = session.call(wire::Type::FileCall, wire::encode(request), what_, std::move(options));
    if (result.timed_out) throw Error{ErrorCode::Timeout, fmt::format("{} took too long", what_)};
    if (result.cancelled) throw Error{ErrorCode::Cancelled, fmt::format("{} was cancelled", what_)};
    wire::FileAnswer said;
    if (result.exit_code != 0 && answer.empty()) refuse("the call was ended");
    if (!wire::decode(answer, said)) refuse("its answer makes no sense");
    if (said.error != 0) throw to_error(said, what_);
    return said.status;
  }

  [[noreturn]] void refuse(std::string_view how) const {
    throw Error{ErrorCode::Guest, fmt::format("{}: {}", what_, how)};
  }
  [[noreturn]] void too_large(std::string_view than) const {
    throw Error{ErrorCode::InvalidArgument, fmt::format("{}: it has more than {}; ask with a limit", what_, than)};
  }

  wire::FileCall request;
  std::string received;

 private:
  void take(std::string_view bytes, std::string& to, std::uint64_t most) const {
    if (bytes.size() > most - to.size()) refuse("the guest sends more than was asked for");
    to += bytes;
  }

  const FileOptions& options_;
  std::string what_;
};

}  // namespace

std::string Session::read_file(const std::string& path, const FileOptions& options) {
  FileCall call{FileVerb::Read, path, options};
  // One more shows that there is more.
  call.request.limit = options.limit.value_or(most_bytes + 1);
  call.run(*impl_, call.request.limit);
  if (!options.limit && call.received.size() > most_bytes) call.too_large(fmt::format("{} bytes", most_bytes));
  return std::move(call.received);
}

FileInfo Session::write_file(const std::string& path, std::string_view content, const FileOptions& options) {
  FileCall call{FileVerb::Write, path, options};
  call.request.size = content.size();
  return to_info(call.run(*impl_, 0, content), path);
}

std::vector<FileInfo> Session::list_directory(const std::string& path, const FileOptions& options) {
  FileCall call{FileVerb::List, path, options};
  const std::uint64_t limit = std::min(options.limit.value_or(most_entries + 1), largest_limit);
  call.request.limit = limit;
  call.run(*impl_, limit * (sizeof(std::uint32_t) + wire::max_file_status_bytes));
  std::vector<FileInfo> entries;
  for (std::string_view rest = call.received; !rest.empty();) {
    wire::FileStatus entry;
    if (!wire::take_listed(rest, entry) || !wire::is_plain_name(entry.name) || entries.size() == limit)
      call.refuse("its listing makes no sense");
    std::string name = std::move(entry.name);
    entries.push_back(to_info(std::move(entry), std::move(name)));
  }
  if (!options.limit && entries.size() > most_entries) call.too_large(fmt::format("{} entries", most_entries));
  return entries;
}

FileInfo Session::stat(const std::string& path, const FileOptions& options) {
  FileCall call{FileVerb::Stat, path, options};
  return to_info(call.run(*impl_), path);
}

void Session::remove(const std::string& path, const FileOptions& options) {
  FileCall{FileVerb::Remove, path, options}.run(*impl_);
}

void Session::make_directory(const std::string& path, const FileOptions& options) {
  FileCall{FileVerb::MakeDirectory, path, options}.run(*impl_);
}

}  // namespace fireclaw::guest
