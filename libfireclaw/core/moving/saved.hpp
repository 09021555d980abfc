#pragma once

#include <map>
#include <stop_token>
#include <string>

#include "core/host/impl.hpp"
#include "core/moving/bundle.hpp"
#include "state/records/snapshots.hpp"

/// The part of an archive that is a saved machine: a snapshot's files, and its record.
namespace fireclaw::core {

inline constexpr const char* saved_record = "snapshot.json";

void add_saved(std::map<std::string, BundleContent>& to, const state::SnapshotRecord& record,
               const vmm::SnapshotFiles& files, const state::SavedDisks& disks);

/// A folder beside the snapshots for unpacked files. One import at a time has it.
state::SnapshotDraft import_draft(const Host::Impl& host);
/// The record, with valid names. Error(Corrupt), Error(InvalidArgument).
state::SnapshotRecord read_saved(const Bundle& bundle);
/// Writes the files into the draft. Error(Corrupt) unless they have the sizes of the record.
void extract_saved(const Bundle& bundle, const state::SnapshotRecord& record, const state::SnapshotDraft& draft,
                   const std::stop_token& stop);

}  // namespace fireclaw::core
