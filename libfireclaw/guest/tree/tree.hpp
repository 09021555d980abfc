#pragma once

#include <dirent.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "guest/wire/wire.hpp"

/// File trees as sequences of entries: reading one into entries (making one from entries: tree/writer.hpp). Used by the
/// host and by guestd alike, so: nothing but the standard library and the kernel, no exceptions; errors are values.
namespace fireclaw::guest {

struct Failure {
  int error = 0;  ///< an errno value
  std::string message;
};

/// A descriptor that is closed with its owner.
class OwnedFd {
 public:
  OwnedFd() = default;
  explicit OwnedFd(int fd) : fd_{fd} {}
  OwnedFd(OwnedFd&& other) noexcept : fd_{other.release()} {}
  OwnedFd& operator=(OwnedFd&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  ~OwnedFd() { reset(); }
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool open() const { return fd_ >= 0; }
  int release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

/// The folder in which names of requests are looked up.
struct Base {
  /// Absolute names start here; AT_FDCWD: as for any system call.
  int root_fd;
  /// Keeps names, "..", and links inside root_fd (openat2, RESOLVE_IN_ROOT).
  bool confine = false;
};

inline constexpr std::size_t max_depth = 128;

/// Walks a file or a folder tree: for each thing an Entry, after a file its content, after a folder's content a Leave.
/// Content is data and holes. A file is read up to the size that it had when it was opened, so a file that keeps
/// growing has an end. Sockets, pipes and devices are left out and counted. Symbolic links below the top are never
/// followed.
class TreeReader {
 public:
  struct Item {
    enum class Kind { Entry, Data, Hole, Leave, End };
    Kind kind = Kind::End;
    wire::Entry entry;
    std::uint64_t bytes = 0;  ///< of Data, put into the buffer given; of a Hole
  };

  TreeReader(Base base, std::string source, bool follow);
  TreeReader(const TreeReader&) = delete;
  TreeReader& operator=(const TreeReader&) = delete;
  ~TreeReader();

  /// The next item; content goes to `buffer`. After a Failure, or End, do not call it again.
  std::optional<Failure> next(Item& item, char* buffer, std::size_t size);
  [[nodiscard]] std::uint64_t skipped() const { return skipped_; }

 private:
  struct DirCloser {
    void operator()(DIR* dir) const { closedir(dir); }
  };
  using Dir = std::unique_ptr<DIR, DirCloser>;

  std::optional<Failure> enter(int parent, const std::string& name, bool top, Item& item, bool& produced);
  std::optional<Failure> walk(Item& item);
  /// Does nothing at the file's end.
  std::optional<Failure> read_file(Item& item, char* buffer, std::size_t size, bool& produced);
  /// The length of the hole at the reading position; 0: there is data.
  std::uint64_t find_hole();
  [[nodiscard]] std::string where(std::string_view name) const;

  Base base_;
  std::string source_;
  bool follow_;
  bool begun_ = false;
  OwnedFd file_;
  std::string file_name_;
  /// When it was opened; 0: not known, as in /proc.
  std::uint64_t file_size_ = 0;
  std::uint64_t file_at_ = 0;
  /// Whether it takes less room than its size.
  bool sparse_ = false;
  /// In a sparse file, data reaches at least so far.
  std::uint64_t data_until_ = 0;
  std::vector<Dir> folders_;
  std::vector<std::string> names_;
  std::uint64_t skipped_ = 0;
};

/// The last component that cp would use for `path`: empty if it is "." or ".." or the root.
std::string last_component(std::string_view path);

}  // namespace fireclaw::guest
