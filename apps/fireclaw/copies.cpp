#include "copies.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/number.hpp"
#include "common/json_of.hpp"
#include "common/text/quantities.hpp"
#include "common/text/style.hpp"

namespace fireclaw::cli {
namespace {

/// What copies get at least: a command that used up its time has often left behind what shows why.
constexpr std::chrono::milliseconds least_time{5000};

std::uint64_t parse_count(const std::string& text) {
  const auto number = parse_number<std::uint64_t>(text).value_or(0);
  if (number == 0) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("--copy-limit: '{}' is not a number of files", text)};
  }
  return number;
}

std::uint64_t parse_limit_bytes(const std::string& text) {
  const auto mib = parse_size_mib(text);
  if (mib == 0) throw Error{ErrorCode::InvalidArgument, fmt::format("--copy-limit: '{}' allows nothing", text)};
  return mib << 20;
}

std::string counted(std::uint64_t count, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

}  // namespace

void CopyChoices::add_to(CLI::App& command) {
  command
      .add_option("--links", links,
                  "Symbolic links in what is copied out: inside leaves out links that lead out of it, keep copies all")
      ->type_name("inside|keep")
      ->capture_default_str();
  command
      .add_option("--copy-limit", limit,
                  "The most that a copy out may write, and the most files; default: three quarters of what is free")
      ->type_name("SIZE[,FILES]");
}

CopyOptions CopyChoices::options() const {
  CopyOptions options;
  if (links == "keep") {
    options.links = CopyLinks::Keep;
  } else if (links != "inside") {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("invalid value '{}' for --links: expected inside or keep", links)};
  }
  if (!limit.empty()) {
    const auto comma = limit.find(',');
    options.max_bytes = parse_limit_bytes(limit.substr(0, comma));
    if (comma != std::string::npos) options.max_files = parse_count(limit.substr(comma + 1));
  }
  return options;
}

void tell_left_out(std::string_view source, const CopyResult& copied) {
  std::string what;
  if (copied.links_left_out > 0) {
    what = counted(copied.links_left_out, "symbolic link that leads out of it", "symbolic links that lead out of it");
    what += copied.links_left_out == 1 ? " (--links keep copies it)" : " (--links keep copies them)";
  }
  if (copied.skipped > 0) {
    if (!what.empty()) what += ", ";
    what += counted(copied.skipped, "socket, pipe or device", "sockets, pipes and devices");
  }
  if (!what.empty()) print_message("fireclaw", fmt::format("left out of '{}': {}", source, what));
}

void RunCopies::add_to(CLI::App& command) {
  command.add_option("--copy-in", in_texts_, "Copy a file or folder into the guest before the command")
      ->type_name("SRC:DST")
      ->allow_extra_args(false);
  command.add_option("--chown", owner_, "Owner of the files that are copied in; default: the command's user")
      ->type_name("USER");
  command.add_option("--copy-out", out_texts_, "Copy a file or folder from the guest after the command")
      ->type_name("SRC:DST")
      ->allow_extra_args(false);
  choices_.add_to(command);
}

std::vector<RunCopies::Copy> RunCopies::parse(const std::vector<std::string>& texts, std::string_view option) {
  std::vector<Copy> copies;
  for (const auto& text : texts) {
    const auto colon = text.rfind(':');
    if (colon == std::string::npos || colon == 0 || colon + 1 == text.size()) {
      throw Error{ErrorCode::InvalidArgument, fmt::format("{} '{}': use SRC:DST", option, text)};
    }
    copies.push_back({text.substr(0, colon), text.substr(colon + 1)});
  }
  return copies;
}

void RunCopies::prepare(const std::string& user, const std::optional<std::chrono::milliseconds>& timeout,
                        std::stop_token stop) {
  in_ = parse(in_texts_, "--copy-in");
  out_ = parse(out_texts_, "--copy-out");
  options_ = choices_.options();
  options_.owner = owner_.empty() ? user : owner_;
  options_.timeout = timeout;
  options_.stop = std::move(stop);
}

void RunCopies::note(const Copy& copy, const CopyResult& copied) {
  tell_left_out(copy.source, copied);
  auto line = to_json(copied);
  line["source"] = copy.source;
  line["target"] = copy.target;
  report_.push_back(std::move(line));
}

void RunCopies::start_clock() {
  if (options_.timeout) until_ = std::chrono::steady_clock::now() + std::max(*options_.timeout, least_time);
}

CopyOptions RunCopies::options_now() const {
  auto options = options_;
  if (until_) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*until_ - std::chrono::steady_clock::now());
    options.timeout = std::max(left, std::chrono::milliseconds{0});
  }
  return options;
}

void RunCopies::copy_in(VM& vm) {
  start_clock();
  for (const auto& copy : in_) note(copy, vm.copy_in(copy.source, copy.target, options_now()));
}

void RunCopies::copy_out(VM& vm) {
  start_clock();
  for (const auto& copy : out_) {
    // The user who stopped the command wants nothing more of it.
    if (options_.stop.stop_requested()) return;
    try {
      note(copy, vm.copy_out(copy.source, copy.target, options_now()));
    } catch (const Error& problem) {
      if (problem.code() == ErrorCode::Cancelled) throw;
      print_message("fireclaw", problem.what());
      report_.push_back({{"source", copy.source}, {"target", copy.target}, {"error", problem.what()}});
      if (failure_ == 0) failure_ = problem.code() == ErrorCode::Timeout ? exit_timeout : exit_failure;
    }
  }
}

int RunCopies::status_after(int status) const { return status == 0 ? failure_ : status; }

}  // namespace fireclaw::cli
