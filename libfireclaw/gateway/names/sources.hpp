#pragma once

#include <map>
#include <string>
#include <string_view>

#include "gateway/names/service.hpp"
#include "gateway/records/sources.hpp"

namespace fireclaw::gateway {

/// NameSources from a home folder: a machine's rights are those of its record at each question.
class HomeNames final : public NameSources {
 public:
  /// `machines` must outlive it.
  HomeNames(state::Layout layout, Sources& machines, Logger logger);

  std::optional<NameClient> name_client(std::string_view address) override;

 private:
  struct Known {
    FileVersion version;
    NameRights rights;
  };

  Sources& machines_;
  state::RunStore runs_;
  /// By machine.
  std::map<std::string, Known, std::less<>> known_;
};

}  // namespace fireclaw::gateway
