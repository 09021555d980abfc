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

#include "guest/wire.hpp"

/// File trees as sequences of entries: reading one into entries, and making one from entries. Used by the host and by
/// guestd alike, so: nothing but the standard library and the kernel, no exceptions; errors are values.
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

/// Where the names in requests are looked up.
struct Base {
  /// Absolute names start here; AT_FDCWD: as for any system call.
  int root_fd;
  /// Keeps names, "..", and links inside root_fd (openat2, RESOLVE_IN_ROOT).
  bool confine = false;
};

inline constexpr std::size_t max_depth = 128;

/// Walks a file or a folder tree: for each thing an Entry, after a file its content, after a folder's content a Leave.
/// Sockets, pipes and devices are passed over and counted. Symbolic links below the top are never followed.
class TreeReader {
 public:
  struct Item {
    enum class Kind { Entry, Data, Leave, End };
    Kind kind = Kind::End;
    wire::Entry entry;
    std::size_t bytes = 0;  ///< of Data, put into the buffer given
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
  [[nodiscard]] std::string where(std::string_view name) const;

  Base base_;
  std::string source_;
  bool follow_;
  bool begun_ = false;
  OwnedFd file_;
  std::string file_name_;
  std::vector<Dir> folders_;
  std::vector<std::string> names_;
  std::uint64_t skipped_ = 0;
};

/// Makes files from entries that may come from a hostile sender: every name is one component below a folder that this
/// writer opened itself, and no symbolic link is ever followed below the target, so nothing outside can be reached.
class TreeWriter {
 public:
  struct Options {
    /// Permission bits that are kept.
    mode_t mode_mask = 07777;
  };

  /// As cp -a: an existing folder at `target` receives the tree under `name`; otherwise `target` is its new name, and
  /// the parent must exist. `name` empty: a folder's content goes into the folder `target` itself, made if need be.
  /// `exact`: `target` is the new name in any case.
  TreeWriter(Base base, std::string target, std::string name, bool exact, Options options);
  TreeWriter(const TreeWriter&) = delete;
  TreeWriter& operator=(const TreeWriter&) = delete;
  ~TreeWriter();

  std::optional<Failure> entry(const wire::Entry& entry);
  std::optional<Failure> data(std::string_view bytes);
  std::optional<Failure> leave();
  /// To be called at the end: a tree that was cut short is an error.
  std::optional<Failure> finish();

  [[nodiscard]] std::uint64_t files() const { return files_; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  struct Folder {
    OwnedFd fd;
    std::string name;
    wire::Entry entry;
  };

  std::optional<Failure> locate(const wire::Entry& entry);
  std::optional<Failure> make_file(int parent, const std::string& name, const wire::Entry& entry);
  std::optional<Failure> make_folder(int parent, const std::string& name, const wire::Entry& entry);
  std::optional<Failure> make_link(int parent, const std::string& name, const wire::Entry& entry);
  std::optional<Failure> close_file();
  [[nodiscard]] std::string where(std::string_view name) const;

  Base base_;
  std::string target_;
  std::string name_;
  bool exact_;
  Options options_;

  bool begun_ = false;
  /// Of the top: where it goes and what it is called there.
  OwnedFd parent_;
  std::string shown_parent_;
  bool into_target_ = false;

  std::vector<Folder> folders_;
  OwnedFd file_;
  wire::Entry file_entry_;
  std::uint64_t files_ = 0;
  std::uint64_t bytes_ = 0;
};

/// The last component that cp would use for `path`: empty if it is "." or ".." or the root.
std::string last_component(std::string_view path);

}  // namespace fireclaw::guest
