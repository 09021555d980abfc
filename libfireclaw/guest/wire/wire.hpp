#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "guest/wire/coding.hpp"

/// The protocol between the host and guestd, as bytes. Both ends are built from this file, so it needs only the
/// standard library, and decoding never throws: bytes from the other side are checked, not trusted.
///
/// One byte stream carries everything. It may be older than its users (a virtio-serial port outlives host processes
/// and is part of a snapshot), so a session starts with a preamble that cannot be mistaken for what was left over:
///
///     host:   preamble(nonce) frame frame ...
///     guestd: greeting(nonce) HELLO frame ...
///
/// A preamble is legal wherever a frame may start and begins a new session, whatever came before. Zero bytes
/// where a frame may start are padding. After a protocol error guestd skips everything up to the next preamble, and
/// the host skips everything up to the greeting with its own nonce. All numbers are little endian.
namespace fireclaw::guest::wire {

inline constexpr std::uint32_t protocol_version = 3;

inline constexpr std::size_t magic_bytes = 16;
inline constexpr std::size_t nonce_bytes = 16;
/// magic, nonce, protocol version u32, repeatable u32, check u32.
inline constexpr std::size_t preamble_bytes = magic_bytes + nonce_bytes + 12;
/// magic, nonce.
inline constexpr std::size_t greeting_bytes = magic_bytes + nonce_bytes;
/// Frame magic u16, type u8, zero u8, channel u32, payload length u32, check u32.
inline constexpr std::size_t header_bytes = 16;
inline constexpr std::size_t max_payload_bytes = std::size_t{64} << 10;
/// As much padding as completes any frame that a dead host left half written.
inline constexpr std::size_t resync_bytes = header_bytes + max_payload_bytes;
/// A request too long for one frame is continued in further ones, up to this size.
inline constexpr std::size_t max_request_bytes = std::size_t{2} << 20;
/// What may be under way on one channel in one direction before the receiver has asked for more.
inline constexpr std::size_t window_bytes = std::size_t{256} << 10;

using Nonce = std::array<char, nonce_bytes>;

enum class Type : std::uint8_t {
  // Both ways.
  Window = 1,  ///< the sender of this has consumed data of the channel: the other end may send that much more
  Data = 2,    ///< copying: content of the file entered last
  Entry = 3,   ///< copying: a file, folder or link; folders are followed by what is in them, then Leave
  Leave = 4,   ///< copying: back to the parent folder
  More = 5,    ///< a piece of the request that follows on the same channel
  Hole = 6,    ///< copying: zero bytes of the file entered last, which take no room

  // Host to guest.
  Configure = 16,
  SetClock = 17,
  Exec = 18,
  Stdin = 19,
  StdinEnd = 20,
  Signal = 21,
  Resize = 22,
  Put = 23,
  PutEnd = 24,
  Get = 25,
  Ping = 26,
  PrepareSnapshot = 27,
  Shutdown = 28,
  Close = 29,  ///< the host has lost interest: what the channel stands for is ended and forgotten
  ServiceStart = 30,
  ServiceSignal = 31,
  ServiceStop = 32,  ///< answered once the service has ended
  ServiceList = 33,
  Mount = 34,
  Unmount = 35,
  Watch = 36,     ///< answered by Started once changes are looked for, and by Done after the first
  FileCall = 37,  ///< wire/files.hpp; answered as Exec is, by a guestd that has feature_files
  Steps = 38,     ///< answered by StepTimes, by a guestd that has feature_steps

  // Guest to host.
  Hello = 64,
  Started = 65,
  ExecFailed = 66,
  Stdout = 67,
  Stderr = 68,
  StdinClosed = 69,  ///< the command reads no more
  Exit = 70,         ///< the last frame of an exec channel
  Done = 71,         ///< the answer to everything else, and the last frame of its channel
  Services = 72,     ///< the answer to ServiceList, and the last frame of its channel
  Skipped = 73,      ///< copying: what was passed over, before Done
  StepTimes = 74,    ///< the answer to Steps, and the last frame of its channel
};

/// Whether `value` is one of the enumerators above, which are numbered without gaps in each of their three groups.
constexpr bool is_type(std::uint8_t value) noexcept {
  const auto within = [&](Type first, Type last) {
    return value >= static_cast<std::uint8_t>(first) && value <= static_cast<std::uint8_t>(last);
  };
  return within(Type::Window, Type::Hole) || within(Type::Configure, Type::Steps) ||
         within(Type::Hello, Type::StepTimes);
}
/// Whether frames of this type carry bulk data, over which no checksum is made.
constexpr bool is_bulk(Type type) noexcept {
  return type == Type::Data || type == Type::Stdin || type == Type::Stdout || type == Type::Stderr;
}
/// Whether frames of this type use up the channel's window. All that a tree consists of does: it can be millions.
constexpr bool is_metered(Type type) noexcept {
  return is_bulk(type) || type == Type::Entry || type == Type::Leave || type == Type::Hole;
}
/// What a metered frame with this payload costs.
constexpr std::size_t cost(std::size_t payload) noexcept { return header_bytes + payload; }
/// The largest payload that `credit` pays for.
constexpr std::size_t affordable(std::size_t credit) noexcept {
  if (credit <= header_bytes) return 0;
  return credit - header_bytes < max_payload_bytes ? credit - header_bytes : max_payload_bytes;
}

struct Header {
  Type type = Type::Ping;
  std::uint32_t channel = 0;
  std::uint32_t length = 0;
  std::uint32_t check = 0;
};

/// FNV-1a, continued from `seed`.
std::uint32_t checksum(std::string_view bytes, std::uint32_t seed = 2166136261U) noexcept;

/// What ties frames to a session: its nonce is the seed of their checksums. It is there for frames that a dead host
/// left unfinished and that were then filled up with something else, and for whole frames that come out on the other
/// side of a lost preamble: a mangled command must never run, and none must run twice.
class Seal {
 public:
  Seal() = default;
  explicit Seal(const Nonce& nonce) noexcept : seed_{checksum({nonce.data(), nonce.size()})} {}
  [[nodiscard]] std::uint32_t check(Type type, std::string_view payload) const noexcept {
    return is_bulk(type) ? seed_ : checksum(payload, seed_);
  }

 private:
  std::uint32_t seed_ = 0;
};

void put_header(char* out, const Header& header) noexcept;
/// nullopt if this is not a header of ours or the length is too large.
std::optional<Header> get_header(std::string_view bytes) noexcept;

/// `repeatable`: how many bytes of frames follow in the same breath. If guestd has this session (this nonce) already,
/// it has seen them too, and skips them: a greeting may be repeated when an answer is slow without running anything
/// twice.
void append_preamble(std::string& out, const Nonce& nonce, std::uint32_t repeatable,
                     std::uint32_t version = protocol_version);
void append_greeting(std::string& out, const Nonce& nonce);
/// The preamble at the front of `bytes`, which must have preamble_bytes; nullopt if it is none.
struct Preamble {
  Nonce nonce{};
  std::uint32_t version = 0;
  std::uint32_t repeatable = 0;
};
std::optional<Preamble> get_preamble(std::string_view bytes) noexcept;
/// What preambles and greetings start with. Its first byte starts nothing else.
std::string_view magic() noexcept;

/// A whole frame. The payload must fit.
void append_frame(std::string& out, Seal seal, Type type, std::uint32_t channel, std::string_view payload = {});
/// A request of up to max_request_bytes, in as many frames as it takes. False (and nothing appended) if it is longer.
bool append_request(std::string& out, Seal seal, Type type, std::uint32_t channel, std::string_view payload);

// Messages: encode() and decode() are in wire/coding.hpp.

struct Hello {
  std::uint32_t protocol = protocol_version;  ///< first in the payload in every version of the protocol, for ever
  std::string guestd_version;
  std::string kernel_release;
  std::uint64_t uptime_ms = 0;
  /// What this guestd can do beyond the first one of its protocol version: feature_files, ... Missing in the payload:
  /// 0.
  std::uint32_t features = 0;
};

void layout(auto& field, Is<Hello> auto& hello) {
  field(hello.protocol, hello.guestd_version, hello.kernel_release, hello.uptime_ms, hello.features);
}

/// It answers FileCall.
inline constexpr std::uint32_t feature_files = 1;
/// It answers Steps.
inline constexpr std::uint32_t feature_steps = 2;

struct Configure {
  std::string hostname;
  std::string machine_id;
  std::string entropy;
  std::int64_t time_ns = 0;  ///< since 1970, UTC
  bool has_interface = false;
  std::string interface;
  std::string address;
  std::string gateway;
  std::string mac;
  std::vector<std::string> nameservers;
};

void layout(auto& field, Is<Configure> auto& to) {
  field(to.hostname, to.machine_id, to.entropy, to.time_ns, to.has_interface, to.interface, to.address, to.gateway,
        to.mac, to.nameservers);
}

struct SetClock {
  std::int64_t time_ns = 0;
};

void layout(auto& field, Is<SetClock> auto& clock) { field(clock.time_ns); }

struct Exec {
  std::vector<std::string> argv;
  std::vector<std::pair<std::string, std::string>> env;
  std::string cwd;
  std::string user;
  bool tty = false;
  bool has_stdin = false;  ///< else it is /dev/null
  std::uint16_t rows = 0;
  std::uint16_t columns = 0;
};

void layout(auto& field, Is<Exec> auto& exec) {
  field.filled(exec.argv)(exec.env, exec.cwd, exec.user, exec.tty, exec.has_stdin, exec.rows, exec.columns);
}

enum class ExecFailure : std::uint8_t {
  NotFound = 1,       ///< no such program: 127
  NotExecutable = 2,  ///< it cannot be run, or its working directory cannot be entered: 126
  BadRequest = 3,     ///< no such user, or the guest cannot do what was asked
};

struct ExecFailed {
  ExecFailure reason = ExecFailure::NotFound;
  std::int32_t error = 0;
  std::string message;
};

void layout(auto& field, Is<ExecFailed> auto& failed) {
  field.one_of(failed.reason, ExecFailure::NotFound, ExecFailure::BadRequest)(failed.error, failed.message);
}

struct Started {
  std::uint32_t pid = 0;
};

void layout(auto& field, Is<Started> auto& started) { field(started.pid); }

struct Exit {
  std::int32_t code = 0;
  std::int32_t signal = 0;
};

void layout(auto& field, Is<Exit> auto& exit) { field(exit.code, exit.signal); }

struct Signal {
  std::uint32_t number = 0;
};

void layout(auto& field, Is<Signal> auto& signal) { field(signal.number); }

struct Resize {
  std::uint16_t rows = 0;
  std::uint16_t columns = 0;
};

void layout(auto& field, Is<Resize> auto& size) { field(size.rows, size.columns); }

struct Window {
  std::uint32_t bytes = 0;
};

void layout(auto& field, Is<Window> auto& window) { field(window.bytes); }

struct Put {
  std::string target;
  std::string name;    ///< what the tree is called if `target` is an existing folder
  bool exact = false;  ///< `target` is the name of the file itself, never a folder to put it into
  std::string owner;   ///< owner of new files, in the form of Exec::user; empty: root
};

void layout(auto& field, Is<Put> auto& put) { field(put.target, put.name, put.exact, put.owner); }

struct Get {
  std::string source;
  bool follow = false;  ///< follow a symbolic link at `source` itself
};

void layout(auto& field, Is<Get> auto& get) { field(get.source, get.follow); }

struct Watch {
  std::string path;  ///< absolute; the file need not be there, but its folder must
};

void layout(auto& field, Is<Watch> auto& watch) { field(watch.path); }

enum class EntryKind : std::uint8_t { File = 1, Folder = 2, Link = 3 };

struct Entry {
  EntryKind kind = EntryKind::File;
  std::string name;  ///< one component; where it is follows from the entries before
  std::uint32_t mode = 0;
  std::int64_t mtime_s = 0;
  std::uint32_t mtime_ns = 0;
  std::uint64_t size = 0;       ///< as it was when the file was opened
  std::uint64_t allocated = 0;  ///< what it takes on its disk: less than its size if it has holes
  std::string link;
};

void layout(auto& field, Is<Entry> auto& entry) {
  field.one_of(entry.kind, EntryKind::File, EntryKind::Link)(entry.name, entry.mode, entry.mtime_s, entry.mtime_ns,
                                                             entry.size, entry.allocated, entry.link);
}

struct Hole {
  std::uint64_t bytes = 0;
};

void layout(auto& field, Is<Hole> auto& hole) { field(hole.bytes); }

struct Skipped {
  std::uint64_t count = 0;  ///< sockets, pipes and devices
};

void layout(auto& field, Is<Skipped> auto& skipped) { field(skipped.count); }

struct Shutdown {
  std::uint32_t grace_ms = 0;
};

void layout(auto& field, Is<Shutdown> auto& shutdown) { field(shutdown.grace_ms); }

/// A disk that is to be had under `target`. The same request again is answered without doing it twice.
struct Mount {
  std::string device;
  std::string target;
  std::string type;
  bool read_only = false;
  std::string options;  ///< as mount -o takes them, with commas between
};

void layout(auto& field, Is<Mount> auto& mount) {
  field(mount.device, mount.target, mount.type, mount.read_only, mount.options);
}

struct Unmount {
  std::string target;
};

void layout(auto& field, Is<Unmount> auto& unmount) { field(unmount.target); }

struct Step {
  std::string name;
  std::uint64_t ns = 0;  ///< since the session's preamble came
};

void layout(auto& field, Is<Step> auto& step) { field(step.name, step.ns); }

/// What a session has done so far, in order.
struct StepTimes {
  std::vector<Step> list;
};

void layout(auto& field, Is<StepTimes> auto& times) { field(times.list); }

/// As many as are kept.
inline constexpr std::size_t max_steps = 24;

struct Done {
  std::int32_t error = 0;  ///< an errno value of Linux, 0: success
  std::string message;
};

void layout(auto& field, Is<Done> auto& done) { field(done.error, done.message); }

/// A Hello of another version decodes as far as its version number, with the rest left empty.
bool decode(std::string_view payload, Hello& message);

/// Whether a name received may become one directory entry: not empty, "." or "..", no slash or NUL, at most 255 bytes.
bool is_plain_name(std::string_view name) noexcept;

}  // namespace fireclaw::guest::wire
