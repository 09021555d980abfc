#include <utility>

#include "channels/channel.hpp"
#include "processes/services.hpp"

namespace fireclaw::guestd {
namespace {

/// Answers once the service has ended. A host that goes away meanwhile does not keep the service.
class StopChannel final : public Channel {
 public:
  StopChannel(Outlet& outlet, std::uint32_t id, std::string name) : Channel{outlet, id}, name_{std::move(name)} {
    report_if_over();
  }

  bool handle(const wire::Frame&) override { return false; }
  void tick() override { report_if_over(); }

 private:
  void report_if_over() {
    if (!finished_ && !outlet_.machine().services().is_stopping(name_)) send_done(0, {});
  }

  const std::string name_;
};

}  // namespace

std::unique_ptr<Channel> make_stop_channel(Outlet& outlet, std::uint32_t id, std::string service) {
  return std::make_unique<StopChannel>(outlet, id, std::move(service));
}

}  // namespace fireclaw::guestd
