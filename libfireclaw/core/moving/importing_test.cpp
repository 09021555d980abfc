// Archives and backups that come from elsewhere: what is taken, what is refused, what a refusal leaves.
#include <doctest/doctest.h>
#include <fcntl.h>

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/agents/impl.hpp"
#include "core/moving/bundle.hpp"
#include "fireclaw/backup.hpp"
#include "fireclaw/collections.hpp"
#include "fireclaw/snapshot.hpp"
#include "fireclaw/workspace.hpp"
#include "state/records/machines.hpp"
#include "sys/digest.hpp"
#include "sys/process.hpp"
#include "sys/testing/outcome.hpp"

namespace fireclaw::core {
namespace {

namespace fs = std::filesystem;
using sys::testing::code_of;
using sys::testing::error_of;
using Names = std::vector<std::string>;
using Parts = std::map<std::string, BundleContent>;

constexpr auto tern = R"({"schema": 1, "nick": "tern", "model": "m", "persona": "A bird."})";

struct Fixture {
  sys::TempDir folder{fs::temp_directory_path(), "importing-test-"};
  Host from = open("from");
  Host host = open("home");
  std::shared_ptr<Host::Impl> impl = Access::impl(host);
  AgentManager::Impl agents{host};

  [[nodiscard]] Host open(const std::string& name) const {
    HostOptions options;
    options.home = folder.path() / name;
    return Host::open(options);
  }
  static state::AgentRecord record() {
    state::AgentRecord made;
    made.name = "ada";
    made.template_name = "tern";
    made.network = "nat";
    made.model = "own";
    return made;
  }
  static void write_template(const Host& to, const std::string& text) {
    const auto& layout = Access::impl(to)->layout;
    sys::make_directories(layout.templates());
    sys::write_file_atomic(layout.templates() / "tern.json", text);
  }
  /// The agent "ada" of template "tern", in the other home folder.
  void make_agent() const {
    write_template(from, tern);
    WorkspaceConfig config;
    config.name = "ada";
    from.workspaces().create(config);
    AgentManager::Impl{from}.agents.put(record());
  }
  /// What an archive of the agent is made of.
  [[nodiscard]] Parts parts() const {
    const auto& other = *Access::impl(from);
    return {{"agent.json", json::record_text(record())},
            {"template.json", std::string{tern}},
            {"workspace.json", json::record_text(other.workspaces.find("ada").value())},
            {"workspace", other.workspaces.disk("ada")}};
  }
  [[nodiscard]] fs::path pack(const Parts& all, const std::string& kind) const {
    auto archive = folder.path() / "archive";
    const auto file = sys::open_file(archive, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    write_bundle(kind, all, file.get(), {});
    return archive;
  }
  AgentImport import(const Parts& all, const AgentImportOptions& options = {}) {
    const auto file = sys::open_file(pack(all, "agent"), O_RDONLY);
    return agents.import_archive(file.get(), options);
  }
  /// Nothing has been brought into the home folder, and nothing that was unpacked is left.
  [[nodiscard]] bool is_empty() const {
    return agents.agents.list().empty() && impl->workspaces.names().empty() && impl->snapshots.names().empty() &&
           !fs::exists(impl->layout.templates() / "tern.json") && impl->snapshots.remove_unfinished().empty() &&
           impl->workspaces.remove_unfinished().empty();
  }
};

template <class Record>
void edit(Parts& all, const std::string& name, const std::function<void(Record&)>& change) {
  auto record = json::read_record<Record>(json::Value::parse(std::get<std::string>(all.at(name)), name));
  change(record);
  all.insert_or_assign(name, json::record_text(record));
}

void edit_agent(Parts& all, const std::function<void(state::AgentRecord&)>& change) {
  edit<state::AgentRecord>(all, "agent.json", change);
}

TEST_CASE_FIXTURE(Fixture, "an agent's archive is taken with its template and workspace, or nothing of it is") {
  make_agent();
  const auto torn = folder.path() / "torn";
  sys::replace_file(torn, "not a disk");
  struct Row {
    std::string what;
    std::function<void(Parts& all)> change;
    ErrorCode code;
    std::string words;
  };
  const auto with_template = [](const std::string& more) {
    return [text = R"({"schema": 1, "nick": "tern", "model": "m", "persona": "A bird.", )" + more + "}"](Parts& all) {
      all.insert_or_assign("template.json", text);
    };
  };
  for (const auto& row : std::vector<Row>{
           {"a path for a name", [](auto& all) { edit_agent(all, [](auto& now) { now.name = "../ada"; }); },
            ErrorCode::InvalidArgument, "'../ada' cannot be an agent's name"},
           {"a path for a template",
            [](auto& all) { edit_agent(all, [](auto& now) { now.template_name = "../tern"; }); },
            ErrorCode::InvalidArgument, "'../tern' cannot be a template's name"},
           {"a network that is none", [](auto& all) { edit_agent(all, [](auto& now) { now.network = "other"; }); },
            ErrorCode::InvalidArgument, "other"},
           {"a template that reaches the host's network", with_template(R"("network": "user")"),
            ErrorCode::InvalidArgument, "reaches this host's own network"},
           {"a template that takes ports", with_template(R"("publish": ["8080"])"), ErrorCode::InvalidArgument,
            "takes ports of this host"},
           {"a template that cannot be", with_template(R"("unheard_of": 1)"), ErrorCode::InvalidArgument, "unheard_of"},
           {"no template", [](auto& all) { all.erase("template.json"); }, ErrorCode::NotFound, "is not here"},
           {"no workspace", [](auto& all) { all.erase("workspace"); }, ErrorCode::Corrupt, "workspace"},
           {"no record of its workspace", [](auto& all) { all.erase("workspace.json"); }, ErrorCode::Corrupt,
            "workspace.json"},
           {"no record", [](auto& all) { all.erase("agent.json"); }, ErrorCode::Corrupt, "agent.json"},
           {"a workspace that is none", [&](auto& all) { all.insert_or_assign("workspace", torn); }, ErrorCode::Corrupt,
            ""},
           {"another machine's memory",
            [](auto& all) {
              state::SnapshotRecord saved;
              saved.name = saved.image = "one";
              all.emplace("snapshot.json", json::record_text(saved));
            },
            ErrorCode::Corrupt, "the archive's memory is not an agent's"}}) {
    CAPTURE(row.what);
    auto all = parts();
    row.change(all);
    const auto [code, text] = error_of([&] { import(all); });
    CHECK(code == row.code);
    CAPTURE(text);
    CHECK(text.find(row.words) != std::string::npos);
    CHECK(is_empty());
  }
  const auto made = import(parts());
  CHECK(made.agent == "ada");
  CHECK(made.template_name == "tern");
  CHECK(agents.require("ada") == record());
  CHECK(sys::read_file(impl->layout.templates() / "tern.json") == tern);
  CHECK(impl->workspaces.names() == Names{"ada"});
  CHECK(code_of([&] { import(parts()); }) == ErrorCode::AlreadyExists);
  CHECK(agents.require("ada") == record());
}

TEST_CASE_FIXTURE(Fixture, "an agent is imported in its turn, and a disk of it that is damaged is mended first") {
  make_agent();
  auto all = parts();
  const auto damaged = folder.path() / "damaged";
  fs::copy_file(std::get<fs::path>(all.at("workspace")), damaged);
  sys::ToolOptions tools;
  tools.search_path = impl->options.search_path;
  sys::check_tool({"debugfs", "-w", "-R", "clri /MEMORY.md", damaged.native()}, tools);
  const auto is_sound = [&](const fs::path& disk) {
    return sys::run_tool({"e2fsck", "-f", "-n", disk.native()}, tools).status.success();
  };
  CHECK_FALSE(is_sound(damaged));
  all.insert_or_assign("workspace", damaged);
  const auto turn = impl->layout.lock("agent-ada");
  CHECK_FALSE(fs::exists(turn));
  CHECK(import(all).agent == "ada");
  CHECK(fs::exists(turn));
  CHECK(is_sound(impl->workspaces.disk("ada")));
}

TEST_CASE_FIXTURE(Fixture, "an agent that was exported is the one that is imported, without what it was doing") {
  make_agent();
  auto running = record();
  running.phase = state::AgentPhase::Crashed;
  running.run = "0123456789abcdef";
  running.worker = sys::current_process();
  running.last_error = "before";
  const AgentManager::Impl others{from};
  others.agents.put(running);
  const auto archive = folder.path() / "exported";
  {
    const auto file = sys::open_file(archive, O_WRONLY | O_CREAT, 0600);
    from.agents().open("ada").export_archive(file.get());
  }
  CHECK(others.require("ada") == running);
  CHECK(Access::impl(from)->snapshots.names().empty());
  CHECK(Access::impl(from)->snapshots.remove_unfinished().empty());
  agents.import_archive(sys::open_file(archive, O_RDONLY).get(), {});
  CHECK(agents.require("ada") == record());
  for (const auto stage : {state::CopyStage::Begun, state::CopyStage::HasWorkspace}) {
    running.copy = stage;
    others.agents.put(running);
    CHECK(code_of([&] { from.agents().open("ada").export_archive(sys::open_file("/dev/null", O_WRONLY).get()); }) ==
          ErrorCode::InvalidState);
  }
}

TEST_CASE_FIXTURE(Fixture, "what an archive says of ports, of the host's network and of copies is not believed") {
  make_agent();
  struct Row {
    std::string name;
    std::string network;
    bool publishes;
    bool then;
  };
  for (const auto& row :
       {Row{"", "nat", true, true}, Row{"", "nat", false, false}, Row{"ada", "nat", true, true},
        Row{"bob", "nat", true, false}, Row{"", "user", true, true}, Row{"bob", "user", true, false}}) {
    CAPTURE(row.name);
    CAPTURE(row.network);
    auto all = parts();
    edit_agent(all, [&](auto& now) {
      now.network = row.network;
      now.publishes = row.publishes;
      now.copy = state::CopyStage::HasWorkspace;
      now.phase = state::AgentPhase::Running;
      now.run = "0123456789abcdef";
    });
    AgentImportOptions options;
    options.name = row.name;
    const auto made = import(all, options);
    const auto now = agents.require(made.agent);
    CHECK(made.agent == (row.name.empty() ? "ada" : row.name));
    CHECK(now.publishes == row.then);
    CHECK(now.network == (row.network == "nat" ? std::optional<std::string>{"nat"} : std::nullopt));
    CHECK(now.copy == state::CopyStage::Whole);
    CHECK(now.phase == state::AgentPhase::Stopped);
    CHECK(now.run.empty());
    CHECK(impl->workspaces.names() == Names{made.agent});
    agents.agents.remove(made.agent);
    host.workspaces().remove(made.agent);
  }
}

TEST_CASE_FIXTURE(Fixture, "an agent's template is the one that is here if it is the same, or has another name") {
  make_agent();
  const auto here = impl->layout.templates() / "tern.json";
  const std::string same = R"({ "schema": 1,  "nick": "tern", "model": "m", "persona": "A bird." })";
  write_template(host, same);
  import(parts());
  CHECK(sys::read_file(here) == same);
  agents.agents.remove("ada");
  host.workspaces().remove("ada");
  const std::string other = R"({"schema": 1, "nick": "tern", "model": "other", "persona": "A bird."})";
  write_template(host, other);
  CHECK(error_of([&] { import(parts()); }) ==
        std::pair{ErrorCode::AlreadyExists,
                  std::string{"there is another template 'tern' here; give the agent's template another name with "
                              "--template"}});
  CHECK(agents.agents.list().empty());
  CHECK(impl->workspaces.names().empty());
  AgentImportOptions options;
  options.template_name = "gull";
  CHECK(import(parts(), options).template_name == "gull");
  CHECK(agents.require("ada").template_name == "gull");
  CHECK(sys::read_file(here) == other);
  CHECK(sys::read_file(impl->layout.templates() / "gull.json") == tern);
  // Nothing that is there goes with a failure.
  agents.agents.remove("ada");
  CHECK(code_of([&] { import(parts(), options); }) == ErrorCode::AlreadyExists);
  CHECK(fs::exists(impl->layout.templates() / "gull.json"));
  CHECK(impl->workspaces.names() == Names{"ada"});
}

TEST_CASE_FIXTURE(Fixture, "a snapshot's archive is taken under a name that is free, or nothing of it is") {
  state::SnapshotRecord saved;
  saved.name = "one";
  saved.image = "busybox";
  saved.engine = "firecracker";
  saved.automatic = true;
  saved.state_bytes = saved.memory_bytes = 1;
  saved.state_sha256 = sys::sha256_hex("x");
  struct Row {
    std::string what;
    std::function<void(state::SnapshotRecord& saved)> change;
    std::string name;
    ErrorCode code;
    std::string words;
  };
  const auto import = [&](const state::SnapshotRecord& record, const std::string& name, bool replace = false) {
    const Parts all{{"snapshot.json", json::record_text(record)},
                    {"state", std::string{"x"}},
                    {"memory", std::string{"x"}},
                    {"workspace", std::string{"x"}}};
    return host.snapshots().import_archive(sys::open_file(pack(all, "snapshot"), O_RDONLY).get(), name, replace);
  };
  const auto of = [](auto change) {
    return [change](state::SnapshotRecord& now) {
      now.agent.emplace();
      now.agent->agent = record();
      now.agent->workspace_bytes = 1;
      change(now.agent->agent);
    };
  };
  const auto as_it_was = [](auto&) {};
  for (const auto& row : std::vector<Row>{
           {"a path", [](auto& now) { now.name = "../one"; }, "", ErrorCode::InvalidArgument, "../one"},
           {"a path that is asked for", as_it_was, "../one", ErrorCode::InvalidArgument, "../one"},
           {"an automatic name", [](auto& now) { now.name = "auto-one"; }, "", ErrorCode::InvalidArgument,
            "'auto-one' is a name for what this home folder saves by itself"},
           {"an automatic name that is asked for", as_it_was, "auto-one", ErrorCode::InvalidArgument, "auto-one"},
           {"a path for an image", [](auto& now) { now.image = "../busybox"; }, "", ErrorCode::InvalidArgument,
            "../busybox"},
           {"memory of another size", [](auto& now) { now.memory_bytes = 2; }, "", ErrorCode::Corrupt,
            "the archive's 'memory' has another size"},
           {"state of another size", [](auto& now) { now.state_bytes = 2; }, "", ErrorCode::Corrupt,
            "the archive's 'state' has another size"},
           {"a path for an agent", of([](auto& now) { now.name = "../ada"; }), "", ErrorCode::InvalidArgument,
            "'../ada' in the archive cannot be the name of an agent"},
           {"a path for a template", of([](auto& now) { now.template_name = "../tern"; }), "",
            ErrorCode::InvalidArgument, "'../tern' in the archive"},
           {"an agent without network", of([](auto& now) { now.network.reset(); }), "", ErrorCode::InvalidArgument,
            "does not say which network the agent had"},
           {"an agent with a network that is none", of([](auto& now) { now.network = "other"; }), "",
            ErrorCode::InvalidArgument, "other"},
           {"a workspace of another size",
            [&](auto& now) {
              of([](auto&) {})(now);
              now.agent->workspace_bytes = 2;
            },
            "", ErrorCode::Corrupt, "the archive's 'workspace' has another size"},
           {"a disk that is not there",
            [&](auto& now) {
              of([](auto&) {})(now);
              now.agent->scratch_bytes = 1;
            },
            "", ErrorCode::Corrupt, "scratch"}}) {
    CAPTURE(row.what);
    auto record = saved;
    row.change(record);
    const auto [code, text] = error_of([&] { static_cast<void>(import(record, row.name)); });
    CHECK(code == row.code);
    CAPTURE(text);
    CHECK(text.find(row.words) != std::string::npos);
    CHECK(is_empty());
  }
  CHECK(import(saved, "").name() == "one");
  CHECK_FALSE(impl->snapshots.find("one")->automatic);
  for (const std::string network : {"user", "nat"}) {
    auto record = saved;
    of([&](auto& now) { now.network = network; })(record);
    const auto name = import(record, network).name();
    CHECK(impl->snapshots.find(name)->agent->agent.network == "nat");
  }
  CHECK(import(saved, "two").name() == "two");
  CHECK(impl->snapshots.find("two")->name == "two");
  CHECK(code_of([&] { static_cast<void>(import(saved, "two")); }) == ErrorCode::AlreadyExists);
  saved.image = "debian";
  CHECK(import(saved, "two", true).info().image == "debian");
  CHECK(impl->snapshots.find("one")->image == "busybox");
  CHECK(impl->snapshots.remove_unfinished().empty());
}

TEST_CASE_FIXTURE(Fixture, "a backup may have what belongs into a home folder, at its place, and nothing else") {
  make_agent();
  const auto backup = folder.path() / "backup";
  from.back_up(backup, {});
  const auto manifest = backup / "backup.json";
  const auto whole = json::read_record<BundleManifest>(json::Value::parse_file(manifest));
  const auto machine = [](const std::string& name, const std::string& key) {
    state::MachineRecord record;
    record.name = name;
    record.key = key;
    return json::record_text(record);
  };
  auto copying = record();
  copying.name = "eve";
  struct Row {
    std::string name;
    std::string text;
    ErrorCode code;
  };
  constexpr auto foreign = ErrorCode::InvalidArgument;
  for (const auto& row :
       std::vector<Row>{{"notes.txt", "x", foreign},
                        {"network.json", "{}", foreign},
                        {"keys/id_ed25519", "x", foreign},
                        {"gateway.json", "{}", foreign},
                        {"templates/gull.txt", "x", foreign},
                        {"templates/-.json", tern, foreign},
                        {"templates/more/gull.json", tern, foreign},
                        {"templates/gull.json", "{", foreign},
                        {"agents/bob.json", json::record_text(copying), foreign},
                        {"agents/eve", json::record_text(copying), foreign},
                        {"machines/one.json", machine("two", "0123456789abcdef"), foreign},
                        {"machines/one.json", machine("one", "../one"), foreign},
                        {"machines/0123456789abcdef.ext4", "x", foreign},
                        {"overseer/secrets", "x", foreign},
                        {"overseer/audit.log/x", "x", foreign},
                        {"workspaces/eve/disk.ext4", "x", ErrorCode::Corrupt},
                        {"workspaces/eve/notes", "x", foreign},
                        {"workspaces/eve/workspace.json",
                         json::record_text(Access::impl(from)->workspaces.find("ada").value()), foreign},
                        {"secrets.json", "{", ErrorCode::Corrupt},
                        {"../outside.json", "{}", foreign},
                        {"templates/../overseer.json", "{}", foreign}}) {
    CAPTURE(row.name);
    const auto file = backup / row.name;
    REQUIRE_FALSE(fs::exists(file));
    fs::create_directories(file.parent_path());
    sys::replace_file(file, row.text);
    auto forged = whole;
    forged.files.push_back(describe_file(row.name, file, {}));
    sys::replace_file(manifest, json::record_text(forged));
    CHECK(code_of([&] { host.restore(backup); }) == row.code);
    CHECK(is_empty());
    fs::remove(file);
  }
  const auto restored = [&](const BundleManifest& as) {
    sys::replace_file(manifest, json::record_text(as));
    return code_of([&] { host.restore(backup); });
  };
  auto twice = whole;
  twice.files.push_back(twice.files.front());
  CHECK(restored(twice) == foreign);
  auto archive = whole;
  archive.kind = "agent";
  CHECK(restored(archive) == foreign);
  for (std::size_t i = 0; i < whole.files.size(); ++i) {
    CAPTURE(whole.files[i].name);
    auto other = whole;
    other.files[i].sha256 = sys::sha256_hex("another");
    CHECK(restored(other) == ErrorCode::Corrupt);
    other = whole;
    ++other.files[i].bytes;
    CHECK(restored(other) == ErrorCode::Corrupt);
    // A link, also to the same.
    const auto file = backup / whole.files[i].name;
    fs::rename(file, folder.path() / "aside");
    fs::create_symlink(folder.path() / "aside", file);
    CHECK(restored(whole) == ErrorCode::Corrupt);
    fs::remove(file);
    fs::rename(folder.path() / "aside", file);
    CHECK(is_empty());
  }
  sys::replace_file(manifest, json::record_text(whole));
  CHECK(host.restore(backup).left_out.empty());
  CHECK(agents.require("ada") == record());
}

TEST_CASE_FIXTURE(Fixture, "what a backup leaves out is named, and so is what is missing when it is restored") {
  make_agent();
  const auto& layout = Access::impl(from)->layout;
  sys::write_file_atomic(layout.home() / "secrets.json", R"({"schema": 1})");
  const auto in = [&](const std::string& name, bool disks, bool secrets) {
    BackupOptions options;
    options.disks = disks;
    options.secrets = secrets;
    return from.back_up(folder.path() / name, options).left_out;
  };
  CHECK(in("all", true, true).empty());
  CHECK(in("no-secrets", true, false) == Names{"secrets.json"});
  CHECK(in("no-disks", false, true) == Names{"workspaces/ada/disk.ext4"});
  CHECK_FALSE(fs::exists(folder.path() / "no-secrets" / "secrets.json"));
  CHECK_FALSE(fs::exists(folder.path() / "no-disks" / "workspaces"));
  CHECK(code_of([&] { in("all", true, true); }) == ErrorCode::AlreadyExists);
  const auto left = host.restore(folder.path() / "no-disks").left_out;
  REQUIRE(left.size() == 1);
  CHECK(left.front() == "workspaces/ada/disk.ext4: it is not in the backup; agent 'ada' begins with an empty one");
  CHECK(sys::read_file(impl->layout.home() / "secrets.json") == R"({"schema": 1})");
  CHECK(code_of([&] { host.restore(folder.path() / "none"); }) == ErrorCode::NotFound);
}

}  // namespace
}  // namespace fireclaw::core
