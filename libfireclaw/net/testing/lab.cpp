#include "net/testing/lab.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <netlink/route/link/veth.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <nftables/libnftables.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <thread>

#include "net/links/netlink.hpp"
#include "net/links/sysctl.hpp"

namespace fireclaw::net::testing {
namespace {

void require(int result, const std::string& what) {
  if (result < 0) throw std::runtime_error{fmt::format("{}: {}", what, nl_geterror(result))};
}

using RawSocket = std::unique_ptr<nl_sock, decltype(&nl_socket_free)>;
RawSocket raw_socket() {
  RawSocket socket{nl_socket_alloc(), nl_socket_free};
  require(nl_connect(socket.get(), NETLINK_ROUTE), "connect");
  return socket;
}

using RawAddress = std::unique_ptr<nl_addr, decltype(&nl_addr_put)>;
RawAddress parse(const std::string& text) {
  nl_addr* address = nullptr;
  require(nl_addr_parse(text.c_str(), AF_INET, &address), text);
  return {address, nl_addr_put};
}

/// Frames that one CPU sends one after the other are also delivered in that order, which the tests build on.
void use_one_cpu() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  sys::check(::sched_getaffinity(0, sizeof(allowed), &allowed), "sched_getaffinity");
  int first = 0;
  while (!CPU_ISSET(first, &allowed)) ++first;
  CPU_ZERO(&allowed);
  CPU_SET(first, &allowed);
  sys::check(::sched_setaffinity(0, sizeof(allowed), &allowed), "sched_setaffinity");
}

}  // namespace

Namespace::Namespace() : fd_{-1} {
  std::exception_ptr failure;
  std::thread{[&] {
    try {
      sys::check(::unshare(CLONE_NEWNET), "unshare");
      fd_ = sys::Fd{sys::check(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), "open namespace")};
      Netlink netlink;
      netlink.set_up(netlink.get_link(InterfaceName{"lo"}).index, true);
    } catch (...) {
      failure = std::current_exception();
    }
  }}.join();
  if (failure) std::rethrow_exception(failure);
}

Namespace::Visit::Visit(const Namespace& target)
    : back_{sys::check(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), "open namespace")} {
  sys::check(::setns(target.fd(), CLONE_NEWNET), "setns");
}

Namespace::Visit::~Visit() {
  // A thread that cannot leave would do the rest of the test in the wrong place.
  if (::setns(back_.get(), CLONE_NEWNET) != 0) std::abort();
}

void connect(const Namespace& a, const std::string& name_a, const Namespace& b, const std::string& name_b) {
  a.in([&] {
    const auto socket = raw_socket();
    rtnl_link* const link = rtnl_link_veth_alloc();
    rtnl_link* const peer = rtnl_link_veth_get_peer(link);
    rtnl_link_set_name(link, name_a.c_str());
    rtnl_link_set_name(peer, name_b.c_str());
    rtnl_link_set_ns_fd(peer, b.fd());
    const int result = rtnl_link_add(socket.get(), link, NLM_F_CREATE | NLM_F_EXCL);
    rtnl_link_put(peer);
    rtnl_link_put(link);
    require(result, "veth " + name_a);
  });
}

void set_up(const Namespace& where, const std::string& link) {
  where.in([&] {
    Netlink netlink;
    netlink.set_up(netlink.get_link(InterfaceName{link}).index, true);
  });
}

void add_address(const Namespace& where, const std::string& link, const std::string& address) {
  const auto slash = address.find('/');
  where.in([&] {
    Netlink netlink;
    netlink.add_address(netlink.get_link(InterfaceName{link}).index, Ipv4Address::parse(address.substr(0, slash)),
                        static_cast<unsigned>(std::stoul(address.substr(slash + 1))));
  });
}

void add_route(const Namespace& where, const std::string& destination, const std::string& gateway) {
  where.in([&] {
    const auto socket = raw_socket();
    const auto target = parse(destination);
    const auto via = parse(gateway);
    rtnl_route* const route = rtnl_route_alloc();
    rtnl_nexthop* const hop = rtnl_route_nh_alloc();
    rtnl_route_nh_set_gateway(hop, via.get());
    rtnl_route_set_dst(route, target.get());
    rtnl_route_add_nexthop(route, hop);
    const int result = rtnl_route_add(socket.get(), route, NLM_F_CREATE | NLM_F_EXCL);
    rtnl_route_put(route);
    require(result, "route to " + destination);
  });
}

std::string nft(const Namespace& where, const std::string& commands) {
  return where.in([&] {
    const std::unique_ptr<nft_ctx, decltype(&nft_ctx_free)> context{nft_ctx_new(NFT_CTX_DEFAULT), nft_ctx_free};
    nft_ctx_buffer_output(context.get());
    nft_ctx_buffer_error(context.get());
    if (nft_run_cmd_from_buffer(context.get(), commands.c_str()) != 0) {
      throw std::runtime_error{nft_ctx_get_error_buffer(context.get())};
    }
    return std::string{nft_ctx_get_output_buffer(context.get())};
  });
}

std::string state_of(const Namespace& where) {
  std::vector<std::string> lines;
  where.in([&] {
    Netlink netlink;
    for (const auto& link : netlink.links()) {
      lines.push_back(fmt::format("link {} {} '{}' up={} mtu={} {} master={}", link.name, link.kind, link.alias,
                                  link.up, link.mtu, link.mac.to_string(), link.master));
    }
    for (const auto& address : netlink.addresses()) {
      lines.push_back(fmt::format("address {} {}/{}", address.index, address.address.to_string(), address.prefix));
    }
    for (const auto& route : netlink.routes()) {
      lines.push_back(fmt::format("route {} {}", route.destination.to_string(), route.index));
    }
    for (const auto* group : {"ipv4", "ipv6"}) {
      for (const auto& entry : std::filesystem::recursive_directory_iterator{fmt::format("/proc/sys/net/{}", group)}) {
        if (!entry.is_regular_file()) continue;
        const auto name = entry.path().string().substr(std::string_view{"/proc/sys/net/"}.size());
        try {
          if (const auto value = read_sysctl(name)) lines.push_back(fmt::format("{} = {}", name, *value));
        } catch (const Error&) {
          continue;  // write-only, or secret
        }
      }
    }
  });
  std::sort(lines.begin(), lines.end());
  return fmt::format("{}\n{}", fmt::join(lines, "\n"), nft(where, "list ruleset"));
}

void without_capabilities(const std::function<void()>& action) {
  std::exception_ptr failure;
  std::thread{[&] {
    try {
      __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
      const __user_cap_data_struct none[2] = {};
      sys::check(::syscall(SYS_capset, &header, none), "capset");
      action();
    } catch (...) {
      failure = std::current_exception();
    }
  }}.join();
  if (failure) std::rethrow_exception(failure);
}

Forked::Forked(const std::function<void()>& action) : pid_{0} {
  const auto done = sys::make_pipe();
  pid_ = sys::check(::fork(), "fork");
  if (pid_ == 0) {
    char result = '0';
    try {
      action();
      result = '1';
    } catch (const std::exception& error) {
      std::fprintf(stderr, "forked: %s\n", error.what());
    }
    sys::write_all(done.write.get(), {&result, 1});
    for (;;) ::pause();
  }
  id_ = sys::identify(pid_).value();
  std::byte result{};
  if (sys::read_some(done.read.get(), {&result, 1}) != 1 || result != std::byte{'1'}) {
    kill();
    throw std::runtime_error{"the forked action failed"};
  }
}

Forked::~Forked() { kill(); }

void Forked::kill() {
  if (pid_ == 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(std::exchange(pid_, 0), nullptr, 0);
}

Lab::Lab(NetworkPolicy policy) : folder{std::filesystem::temp_directory_path(), "fireclaw-lab-"} {
  use_one_cpu();
  connect(host, "uplink", internet, "eth0");
  set_up(host, "uplink");
  set_up(internet, "eth0");
  add_address(host, "uplink", "198.51.100.1/24");
  add_address(internet, "eth0", "198.51.100.2/24");
  for (const auto* address :
       {"203.0.113.7/32", "203.0.113.53/32", "10.20.30.40/32", "192.168.77.7/32", "169.254.169.254/32"}) {
    add_address(internet, "lo", address);
  }
  add_route(host, "0.0.0.0/0", "198.51.100.2");
  add_route(internet, policy.subnet.to_string(), "198.51.100.1");
  bridge.name = policy.bridge;
  bridge.subnet = policy.subnet;
  bridge.gateway = policy.gateway;
  bridge.owner = folder.path().string();
  host.in([&] {
    ensure_bridge(bridge, folder.path() / "network.json");
    firewall.emplace(std::move(policy), folder.path() / "firewall.lock");
    firewall->try_out();
    firewall->ensure();
  });
}

Guest& Lab::add_guest(unsigned last, Egress egress, const std::function<void(VmPolicy&)>& adjust) {
  const auto address = Ipv4Address::from_bits(bridge.subnet.base().bits() + last);
  const auto tap = tap_name(bridge.name, std::to_string(last));
  guests_.push_back(std::make_unique<Guest>(
      Guest{{}, {tap, MacAddress::for_address(address), address, egress, {}, ServiceAccess::All, {}}}));
  auto& guest = *guests_.back();
  if (adjust) adjust(guest.vm);
  connect(host, tap.str(), guest.inside, "eth0");
  guest.inside.in([&] {
    Netlink netlink;
    netlink.set_mac(netlink.get_link(InterfaceName{"eth0"}).index, guest.vm.mac);
  });
  set_up(guest.inside, "eth0");
  add_address(guest.inside, "eth0", fmt::format("{}/{}", address.to_string(), bridge.subnet.prefix()));
  add_route(guest.inside, "0.0.0.0/0", bridge.gateway.to_string());
  host.in([&] {
    firewall->add_vm(guest.vm);
    attach_port(bridge, tap, address);
  });
  return guest;
}

}  // namespace fireclaw::net::testing
