#include "http/download.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <exception>
#include <optional>
#include <string_view>

#include "base/text.hpp"
#include "fireclaw/error.hpp"
#include "http/curl.hpp"
#include "sys/digest.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"

namespace fireclaw::http {

namespace {

bool starts_with_ignoring_case(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && ::strncasecmp(text.data(), prefix.data(), prefix.size()) == 0;
}

/// The number that `text` starts with, after spaces.
std::optional<std::uint64_t> number(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  return value;
}

/// Where the bytes go.
class Sink {
 public:
  Sink() = default;
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;
  virtual ~Sink() = default;
  [[nodiscard]] virtual std::uint64_t size() const = 0;
  virtual void clear() = 0;
  virtual void append(std::string_view bytes) = 0;
};

class Text final : public Sink {
 public:
  [[nodiscard]] std::uint64_t size() const override { return text_.size(); }
  void clear() override { text_.clear(); }
  void append(std::string_view bytes) override { text_ += bytes; }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

/// The file being fetched, and its digest so far.
class Part final : public Sink {
 public:
  explicit Part(std::filesystem::path path) : path_{std::move(path)}, fd_{open(path_)} {}

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::uint64_t size() const override { return size_; }

  /// Takes in what an earlier call left.
  void keep() {
    std::array<std::byte, 65536> buffer{};
    for (;;) {
      const auto got = sys::read_some(fd_.get(), buffer);
      if (got <= 0) break;
      digest_.update(std::span{buffer}.first(static_cast<std::size_t>(got)));
      size_ += static_cast<std::uint64_t>(got);
    }
  }
  void clear() override {
    sys::check(::ftruncate(fd_.get(), 0), fmt::format("truncate '{}'", path_.string()));
    sys::check(::lseek(fd_.get(), 0, SEEK_SET), fmt::format("seek in '{}'", path_.string()));
    digest_ = sys::Sha256{};
    size_ = 0;
  }
  void append(std::string_view bytes) override {
    try {
      sys::write_all(fd_.get(), bytes);
    } catch (Error& error) {
      error.add_context(fmt::format("write '{}'", path_.string()));
      throw;
    }
    digest_.update(bytes);
    size_ += bytes.size();
  }
  void sync() const { sys::sync_fd(fd_.get(), path_); }
  std::string digest() { return digest_.hex(); }

 private:
  static sys::Fd open(const std::filesystem::path& path) {
    sys::Fd fd = sys::open_file(path, O_RDWR | O_CREAT, 0600);
    if (sys::retry([&] { return ::flock(fd.get(), LOCK_EX | LOCK_NB); }) < 0) {
      if (errno == EWOULDBLOCK) {
        throw Error{ErrorCode::InvalidState,
                    fmt::format("another process is fetching '{}'; wait for it to finish", path.string())};
      }
      sys::throw_errno(fmt::format("lock '{}'", path.string()));
    }
    // The holder of the lock may have finished and renamed the file between our open and our lock.
    struct stat opened {};
    struct stat named {};
    sys::check(::fstat(fd.get(), &opened), "fstat");
    if (::stat(path.c_str(), &named) < 0 || named.st_ino != opened.st_ino || named.st_dev != opened.st_dev) {
      throw Error{ErrorCode::InvalidState,
                  fmt::format("another process has just fetched '{}'; try again", path.string())};
    }
    return fd;
  }

  std::filesystem::path path_;
  sys::Fd fd_;
  sys::Sha256 digest_;
  std::uint64_t size_ = 0;
};

/// One HTTP exchange that fills a sink. The callbacks run inside libcurl, so their errors are kept and thrown later.
class Fetch {
 public:
  Fetch(const std::string& url, Sink& sink, const DownloadOptions& options)
      : url_{url}, sink_{sink}, options_{options}, offset_{sink.size()} {
    transfer_.set(CURLOPT_URL, url.c_str());
    transfer_.set(CURLOPT_PROTOCOLS_STR, "http,https");
    transfer_.set(CURLOPT_REDIR_PROTOCOLS_STR, redirect_protocols(url));
    transfer_.set(CURLOPT_FOLLOWLOCATION, 1L);
    transfer_.set(CURLOPT_MAXREDIRS, static_cast<long>(options.max_redirects));
    transfer_.set(CURLOPT_USERAGENT, "fireclaw");
    transfer_.set(CURLOPT_CONNECTTIMEOUT, 30L);
    transfer_.set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    transfer_.set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(options.stall_limit.count()));
    transfer_.set(CURLOPT_WRITEFUNCTION, &on_body);
    transfer_.set(CURLOPT_WRITEDATA, this);
    transfer_.set(CURLOPT_HEADERFUNCTION, &on_header);
    transfer_.set(CURLOPT_HEADERDATA, this);
    // As a range and not as a "resume": libcurl would fail a server that answers with the whole file.
    if (offset_ > 0) transfer_.set(CURLOPT_RANGE, fmt::format("{}-", offset_).c_str());
  }

  /// False if the server has nothing from the offset on, so that the part is of no use.
  bool run() {
    const std::string what = fmt::format("fetching '{}'", url_);
    const CURLcode code = transfer_.run(options_.deadline, options_.stop, what);
    if (failure_) std::rethrow_exception(failure_);
    const int status = transfer_.status();
    if (code == CURLE_OK && (status == 200 || status == 206)) {
      if (total_ != 0 && sink_.size() != total_) {
        throw Error{ErrorCode::Io, fmt::format("{}: got {} of {} bytes", what, sink_.size(), total_)};
      }
      // An empty file has no body to call on_body() for.
      if (status == 200 && !started_) sink_.clear();
      return true;
    }
    if (code == CURLE_OK && status == 416 && offset_ > 0) return false;
    if (code == CURLE_OK) throw refused(status);
    if (code == CURLE_OPERATION_TIMEDOUT) {
      throw Error{ErrorCode::Timeout, fmt::format("{}: {}", what, transfer_.describe(code))};
    }
    if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT) {
      throw Error{ErrorCode::InvalidArgument, fmt::format("{}: {}", what, transfer_.describe(code))};
    }
    std::string text = fmt::format("{}: {}", what, transfer_.describe(code));
    if (started_ && !options_.sha256.empty()) text += "; run it again to continue from there";
    throw Error{ErrorCode::Io, text};
  }

 private:
  static std::size_t on_header(char* bytes, std::size_t size, std::size_t count, void* user) noexcept {
    static_cast<Fetch*>(user)->header({bytes, size * count});
    return size * count;
  }
  static std::size_t on_body(char* bytes, std::size_t size, std::size_t count, void* user) noexcept {
    auto& self = *static_cast<Fetch*>(user);
    try {
      self.body({bytes, size * count});
    } catch (...) {
      self.failure_ = std::current_exception();
      return 0;
    }
    return size * count;
  }

  void header(std::string_view line) noexcept {
    if (starts_with_ignoring_case(line, "HTTP/")) {  // a redirect's headers do not count for its target
      length_ = 0;
      range_start_.reset();
    } else if (starts_with_ignoring_case(line, "content-length:")) {
      length_ = number(line.substr(15)).value_or(0);
    } else if (starts_with_ignoring_case(line, "content-range: bytes ")) {
      range_start_ = number(line.substr(21));
    }
  }

  void body(std::string_view bytes) {
    const int status = transfer_.status();
    if (status != 200 && status != 206) return;
    if (!started_) start(status);
    if (sink_.size() + bytes.size() > options_.max_bytes) throw too_large(sink_.size() + bytes.size());
    sink_.append(bytes);
    if (options_.progress) options_.progress(sink_.size(), total_);
  }

  void start(int status) {
    if (status == 200) {  // the whole file, whether or not a range was asked for
      sink_.clear();
    } else if (range_start_ != offset_) {
      throw Error{ErrorCode::Io,
                  fmt::format("fetching '{}': asked for bytes from {} on and got others", url_, offset_)};
    }
    if (length_ != 0) total_ = sink_.size() + length_;
    if (total_ > options_.max_bytes) throw too_large(total_);
    started_ = true;
  }

  [[nodiscard]] Error too_large(std::uint64_t bytes) const {
    return Error{ErrorCode::InvalidArgument,
                 fmt::format("'{}' has {} bytes or more; at most {} are accepted", url_, bytes, options_.max_bytes)};
  }
  [[nodiscard]] Error refused(int status) const {
    ErrorCode code = ErrorCode::Io;
    if (status == 404 || status == 410) code = ErrorCode::NotFound;
    if (status == 401 || status == 403) code = ErrorCode::PermissionDenied;
    return Error{code, fmt::format("fetching '{}': the server answered {}", url_, status)};
  }

  const std::string& url_;
  Sink& sink_;
  const DownloadOptions& options_;
  std::uint64_t offset_;
  Transfer transfer_;
  std::uint64_t length_ = 0;
  std::optional<std::uint64_t> range_start_;
  std::uint64_t total_ = 0;
  bool started_ = false;
  std::exception_ptr failure_;
};

void require_web(const std::string& url) {
  if (starts_with_ignoring_case(url, "http://") || starts_with_ignoring_case(url, "https://")) return;
  throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' is not an http or https URL", url)};
}

}  // namespace

const char* redirect_protocols(std::string_view url) {
  return starts_with_ignoring_case(url, "https://") ? "https" : "http,https";
}

std::string fetch_text(const std::string& url, const DownloadOptions& options) {
  require_web(url);
  Text text;
  (void)Fetch{url, text, options}.run();
  return text.take();
}

Downloaded download(const std::string& url, const std::filesystem::path& target, const DownloadOptions& options) {
  require_web(url);
  Part part{target.string() + ".part"};
  // Without a digest nothing would tell whether the two halves belong to the same file.
  if (options.sha256.empty()) {
    part.clear();
  } else {
    part.keep();
  }
  const auto expected = to_lower(options.sha256);

  const auto publish = [&](std::string digest, std::uint64_t resumed) {
    part.sync();
    std::filesystem::rename(part.path(), target);
    sys::sync_directory(std::filesystem::absolute(target).parent_path());
    return Downloaded{std::move(digest), part.size(), resumed};
  };

  if (const std::uint64_t kept = part.size(); kept > 0) {
    // False: nothing is left to fetch. Either way only the digest tells whether what was there is of this very file.
    (void)Fetch{url, part, options}.run();
    if (std::string digest = part.digest(); digest == expected) return publish(std::move(digest), kept);
    part.clear();
  }
  (void)Fetch{url, part, options}.run();
  std::string digest = part.digest();
  if (expected.empty() || digest == expected) return publish(std::move(digest), 0);
  std::error_code ignored;
  std::filesystem::remove(part.path(), ignored);
  throw Error{ErrorCode::Corrupt, fmt::format("'{}' has SHA-256 {}, expected {}", url, digest, expected)};
}

}  // namespace fireclaw::http
