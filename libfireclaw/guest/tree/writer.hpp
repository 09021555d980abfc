#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "guest/tree/tree.hpp"
#include "guest/wire/wire.hpp"

namespace fireclaw::guest {

/// Makes files from entries that may come from a hostile sender. Every name is one component below a folder that this
/// writer opened itself, no symbolic link is followed below the target, and new files are made under a name that
/// nobody had before: a private one beside the final name, to which it is renamed when it is complete. So nothing
/// outside the target can be reached, an existing file stays whole until its successor is complete, and a failed copy
/// leaves nothing unfinished. Existing folders receive new files and keep their mode.
class TreeWriter {
 public:
  struct Owner {
    uid_t uid = 0;
    gid_t gid = 0;
  };
  /// 0: three quarters of what is free where the target is. What stands between holes counts as the blocks that it
  /// takes; `whole_blocks`: so does the end of a file, and a folder or link counts as one.
  struct Limits {
    std::uint64_t bytes = 0;
    std::uint64_t entries = 0;
    bool whole_blocks = false;
  };
  struct Options {
    /// Permission bits that are kept.
    mode_t mode_mask = 07777;
    /// Whether to obey this process's umask.
    bool obey_umask = false;
    /// A link at `target` that leads to a folder stands for it. Otherwise it is replaced.
    bool follow_target = true;
    /// Links that lead out of the tree are left out and counted.
    bool drop_outward_links = false;
    /// The owner of new files; unset: this process.
    std::optional<Owner> owner;
    /// Unset: what the file system has room for.
    std::optional<Limits> limits;
  };

  /// As cp -a: an existing folder at `target` receives the tree under `name`; otherwise `target` is its new name, and
  /// the parent must exist. `name` empty: a folder's content goes into the folder `target` itself, made if need be.
  /// `exact`: `target` is the new name in any case.
  TreeWriter(Base base, std::string target, std::string name, bool exact, Options options);
  TreeWriter(const TreeWriter&) = delete;
  TreeWriter& operator=(const TreeWriter&) = delete;
  /// Removes incomplete files.
  ~TreeWriter();

  std::optional<Failure> entry(const wire::Entry& entry);
  std::optional<Failure> data(std::string_view bytes);
  /// So many zero bytes, which take no room.
  std::optional<Failure> hole(std::uint64_t bytes);
  std::optional<Failure> leave();
  /// To be called at the end: a tree that was cut short is an error.
  std::optional<Failure> finish();

  [[nodiscard]] std::uint64_t files() const { return files_; }
  /// Holes count as what they read as.
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] std::uint64_t links_left_out() const { return links_left_out_; }

 private:
  struct Folder {
    OwnedFd fd;
    std::string name;
    /// Its name until it is complete.
    std::string made_as;
    wire::Entry entry;
    /// Whether this writer made it, so that it holds only what this writer has put there.
    bool fresh = false;
  };

  std::optional<Failure> locate(const wire::Entry& entry);
  std::optional<Failure> open_target_folder(bool& found);
  void set_limits();
  std::optional<Failure> admit(const wire::Entry& entry, std::string_view name);
  std::optional<Failure> charge(std::uint64_t bytes);
  /// What of this part of the file has not been charged for.
  std::optional<Failure> charge_part(std::uint64_t from, std::uint64_t to);
  std::optional<Failure> charge_rest_of_block();
  [[nodiscard]] Failure over_limit(std::string message, bool given) const;
  std::optional<Failure> make_file(const std::string& name, const wire::Entry& entry);
  std::optional<Failure> make_folder(const std::string& name, const wire::Entry& entry);
  std::optional<Failure> make_link(const std::string& name, const wire::Entry& entry);
  std::optional<Failure> close_file();
  /// Whether an entry of this kind may replace `name` in the current folder.
  [[nodiscard]] std::optional<Failure> check_place(const std::string& name, wire::EntryKind kind) const;
  std::optional<Failure> put_in_place(const std::string& made_as, const std::string& name, bool folder);
  [[nodiscard]] int current() const { return folders_.empty() ? parent_.get() : folders_.back().fd.get(); }
  [[nodiscard]] bool is_fresh() const { return !folders_.empty() && folders_.back().fresh; }
  [[nodiscard]] mode_t kept_mode(const wire::Entry& entry) const { return entry.mode & options_.mode_mask; }
  [[nodiscard]] std::string where(std::string_view name) const;

  Base base_;
  std::string target_;
  std::string name_;
  bool exact_;
  Options options_;

  bool begun_ = false;
  /// Where the top goes, and its name there.
  OwnedFd parent_;
  std::string shown_parent_;
  bool into_target_ = false;

  std::vector<Folder> folders_;
  OwnedFd file_;
  wire::Entry file_entry_;
  std::string file_made_as_;
  std::uint64_t file_at_ = 0;
  /// A hole was skipped, and nothing has been written behind it.
  bool ends_in_hole_ = false;
  std::uint64_t charged_to_ = 0;

  std::uint64_t files_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t links_left_out_ = 0;
  std::uint64_t entries_ = 0;
  std::uint64_t written_ = 0;
  std::uint64_t most_bytes_ = UINT64_MAX;
  std::uint64_t most_entries_ = UINT64_MAX;
};

}  // namespace fireclaw::guest
