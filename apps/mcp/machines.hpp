#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "backend.hpp"
#include "interrupted.hpp"
#include "policy.hpp"

namespace fireclaw::mcp {

struct NamedMachine {
  std::string name;
  std::shared_ptr<Machine> machine;
};

/// The machines that a client has: those with names, which stay until they are removed, and those of single commands.
/// All of them end with this. Members may be called from several threads.
class Machines {
 public:
  Machines(Backend& backend, const Policy& policy) : backend_{backend}, policy_{policy} {}
  Machines(const Machines&) = delete;
  Machines& operator=(const Machines&) = delete;
  ~Machines() { shut_down(); }

  /// Starts a machine that stays, under its host name; empty: a new one. Error(AlreadyExists) if the name is taken,
  /// Error(InvalidState) at the limit of machines, Error(PermissionDenied) for an image that is
  /// not allowed.
  NamedMachine create(VMConfig config, const std::stop_token& stop);
  /// Starts a machine that ends with the last reference to it.
  std::shared_ptr<Machine> borrow(VMConfig config, const std::stop_token& stop);
  /// Error(NotFound).
  std::shared_ptr<Machine> find(const std::string& name);
  /// Saves a machine, which ends what runs in it; `call` is what its commands then say that it was. Error(NotFound).
  void save(const std::string& name, const std::string& snapshot, const std::string& call);
  /// Ends it at once. Error(NotFound).
  void remove(const std::string& name);
  /// By name.
  std::vector<NamedMachine> list();

  /// Ends all there are, and those that are being started as soon as they are; no others can be started then.
  void shut_down();

 private:
  class Place;

  std::shared_ptr<ExplainedMachine> find_explained(const std::string& name);
  void check_image(const VMConfig& config) const;
  std::string reserve(const std::string& wished);
  std::shared_ptr<ExplainedMachine> start(VMConfig config, const std::stop_token& stop);
  [[nodiscard]] std::string unused_name() const;

  Backend& backend_;
  const Policy& policy_;
  std::mutex mutex_;
  /// A machine that is being started has its name already.
  std::map<std::string, std::shared_ptr<ExplainedMachine>> named_;
  std::vector<std::weak_ptr<Machine>> all_;
  /// Machines that are, and that are being started.
  std::size_t taken_ = 0;
  bool ended_ = false;
};

}  // namespace fireclaw::mcp
