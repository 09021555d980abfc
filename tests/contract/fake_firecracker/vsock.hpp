#pragma once

#include <poll.h>
#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

namespace fake {

/// The vsock device, seen from the host, and the guest behind it: each connection is handed to its own process that
/// plays the guest. Pausing the machine stops those processes.
class Vsock {
 public:
  /// Binds `path`. Throws errno. `guests` is Knobs::guests.
  Vsock(std::string path, std::string guest_program, const std::string& guests);
  Vsock(const Vsock&) = delete;
  Vsock& operator=(const Vsock&) = delete;
  ~Vsock();

  void add_to(std::vector<pollfd>& polled) const;
  /// Accepts, reads and answers what there is.
  void work();

  /// Whether guest code runs and whether what the host sends reaches it; connections wait meanwhile.
  void set_flowing(bool flowing);
  /// The files of the disks that `guests` is given.
  void set_disks(std::vector<std::string> disks) { disks_ = std::move(disks); }
  /// Whether the guest listens; if not, it turns connections down.
  void set_listening(bool listening) { listening_ = listening; }
  void drop_next() { drop_next_ = true; }
  /// The guest connects to a port of the host. False if nobody listens there.
  bool dial(unsigned port);
  /// Ends all connections, as a transport reset does.
  void reset();
  /// A guest process ended although its host had not hung up: the guest rebooted.
  [[nodiscard]] bool rebooted() const { return rebooted_; }

 private:
  struct Request {
    int fd;
    std::string line;
  };
  struct Guest {
    pid_t pid;
    int pidfd;
    int stream;
  };
  void accept_clients();
  void read_requests();
  void answer(const Request& request);
  void start_guest(int stream);
  [[noreturn]] void hand_over(int stream) const;
  void reap_guests();

  std::string path_;
  std::string program_;
  /// Connected to `guests`; -1 without.
  int guests_socket_ = -1;
  std::vector<std::string> disks_;
  int listener_;
  bool flowing_ = false;
  bool listening_ = false;
  bool drop_next_ = false;
  bool rebooted_ = false;
  unsigned next_port_ = 1073741824;
  std::vector<Request> requests_;
  std::vector<Guest> guests_;
};

}  // namespace fake
