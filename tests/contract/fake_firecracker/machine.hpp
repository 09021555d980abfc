#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "json.hpp"
#include "knobs.hpp"
#include "vsock.hpp"

namespace fake {

struct Reply {
  int status = 204;
  std::string body;
  /// The process ends with status 1 once the reply is out.
  bool ends = false;
};

/// The machine that the API is about, with the rules of what may be asked when.
class Machine {
 public:
  Machine(std::string id, bool pci, Knobs knobs);

  Reply handle(std::string_view method, std::string_view path, const std::string& body);

  /// What there is to wait for beside the API.
  void add_to(std::vector<pollfd>& polled) const;
  [[nodiscard]] std::optional<std::chrono::steady_clock::time_point> next_event() const { return boot_at_; }
  void work();
  [[nodiscard]] bool rebooted() const { return vsock_ != nullptr && vsock_->rebooted(); }

 private:
  enum class State { NotStarted, Running, Paused };
  using Handler = Reply (Machine::*)(const std::string& id, const Json& body);
  struct Route {
    std::string_view method;
    std::string_view resource;
    std::string_view structure;
    Handler handler;
    enum class When { Before, After, Any } when;
  };
  static const std::vector<Route>& routes();

  Reply get(std::string_view path) const;
  Reply put_boot_source(const std::string& id, const Json& body);
  Reply put_machine_config(const std::string& id, const Json& body);
  Reply put_drive(const std::string& id, const Json& body);
  Reply patch_drive(const std::string& id, const Json& body);
  Reply put_interface(const std::string& id, const Json& body);
  Reply put_vsock(const std::string& id, const Json& body);
  Reply put_entropy(const std::string& id, const Json& body);
  Reply put_balloon(const std::string& id, const Json& body);
  Reply patch_balloon(const std::string& id, const Json& body);
  Reply put_logger(const std::string& id, const Json& body);
  Reply put_metrics(const std::string& id, const Json& body);
  Reply act(const std::string& id, const Json& body);
  Reply patch_vm(const std::string& id, const Json& body);
  Reply create_snapshot(const std::string& id, const Json& body);
  Reply load_snapshot(const std::string& id, const Json& body);

  Reply start();
  void resume();
  void update_flow();
  std::optional<std::string> restore(const Json& request);
  [[nodiscard]] std::string_view state_name() const;

  std::string id_;
  bool pci_;
  Knobs knobs_;
  Version version_;
  State state_ = State::NotStarted;
  /// Something that only a cold start needs was set.
  bool configured_ = false;
  /// As GET /vm/config shows it.
  Json config_;
  std::unique_ptr<Vsock> vsock_;
  std::optional<std::chrono::steady_clock::time_point> boot_at_;
  bool guest_up_ = false;
  /// A reset of the guest's connections was announced and is carried out when the machine runs on.
  bool reset_announced_ = false;
  /// Nothing that the host sends reaches the guest.
  bool blocked_ = false;
};

}  // namespace fake
