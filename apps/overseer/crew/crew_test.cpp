#include "crew/crew.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <semaphore>
#include <string>
#include <vector>

using namespace fireclaw::overseer;

TEST_CASE("changes of one agent go in order, those of different agents side by side") {
  EventLoop loop;
  std::vector<std::string> order;
  std::atomic<int> inside_a{0};
  std::counting_semaphore<8> b_done{0};
  Crew crew{loop, {2, 1, 100}};
  for (int i = 0; i < 3; ++i) {
    CHECK(crew.change({"a"},
                      [&, i](const std::stop_token&) -> EventLoop::Task {
                        CHECK(inside_a.fetch_add(1) == 0);
                        // The first of a ends only after b, which came later, has run beside it.
                        if (i == 0) b_done.acquire();
                        inside_a.fetch_sub(1);
                        return [&, i] { order.push_back("a" + std::to_string(i)); };
                      },
                      {}));
  }
  CHECK(crew.change({"b"},
                    [&](const std::stop_token&) -> EventLoop::Task {
                      b_done.release();
                      return [&] { order.emplace_back("b"); };
                    },
                    {}));
  CHECK(crew.busy() == 4);
  crew.when_idle([&] { loop.quit(); });
  loop.run();
  REQUIRE(order.size() == 4);
  std::erase(order, "b");
  CHECK(order == std::vector<std::string>{"a0", "a1", "a2"});
  CHECK(crew.busy() == 0);
}

TEST_CASE("a change of two agents waits for both, and both wait for it") {
  EventLoop loop;
  std::vector<std::string> order;
  std::counting_semaphore<8> go{0};
  Crew crew{loop, {4, 1, 100}};
  const auto noting = [&](const char* what) {
    return [&order, what](const std::stop_token&) -> EventLoop::Task {
      return [&order, what] { order.emplace_back(what); };
    };
  };
  crew.change({"b"},
              [&](const std::stop_token&) -> EventLoop::Task {
                go.acquire();
                return [&] { order.emplace_back("b"); };
              },
              {});
  crew.change({"a", "b"}, noting("both"), {});
  crew.change({"a"}, noting("a"), {});
  // The same one twice is one.
  crew.change({"c", "c"}, noting("c"), {});
  CHECK(crew.agents() == std::vector<std::string>{"a", "b", "c"});
  loop.after(std::chrono::milliseconds{50}, [&] { go.release(); });
  crew.when_idle([&] { loop.quit(); });
  loop.run();
  std::erase(order, "c");
  CHECK(order == std::vector<std::string>{"b", "both", "a"});
  CHECK(crew.agents().empty());
}

TEST_CASE("a stop drops changes and questions whose turn has not come") {
  EventLoop loop;
  Crew crew{loop, {2, 1, 100}};
  std::counting_semaphore<8> asking{0};
  std::counting_semaphore<8> go{0};
  const auto blocked = [&](const std::stop_token&) -> EventLoop::Task {
    asking.release();
    go.acquire();
    return {};
  };
  int dropped = 0;
  const auto unwanted = [](const std::stop_token&) -> EventLoop::Task { return [] { FAIL("was done"); }; };
  crew.change({"a"}, blocked, {});
  crew.ask(blocked, {});
  crew.change({"a", "b"}, unwanted, [&] { ++dropped; });
  crew.change({"b"}, unwanted, [&] { ++dropped; });
  crew.ask(unwanted, [&] { ++dropped; });
  asking.acquire();
  asking.acquire();
  crew.stop();
  CHECK(dropped == 2);
  go.release(2);
  crew.when_idle([&] { loop.quit(); });
  loop.run();
  CHECK(dropped == 3);
}

TEST_CASE("looking does not wait for changes or questions") {
  EventLoop loop;
  std::counting_semaphore<8> go{0};
  Crew crew{loop, {1, 1, 100}};
  const auto blocked = [&](const std::stop_token&) -> EventLoop::Task {
    go.acquire();
    return {};
  };
  crew.change({"a"}, blocked, {});
  crew.ask(blocked, {});
  bool looked = false;
  crew.look([&](const std::stop_token&) -> EventLoop::Task {
    return [&] {
      looked = true;
      go.release(2);
    };
  });
  crew.when_idle([&] { loop.quit(); });
  loop.run();
  CHECK(looked);
}

TEST_CASE("no more waits than is allowed") {
  EventLoop loop;
  std::counting_semaphore<8> go{0};
  Crew crew{loop, {1, 1, 2}};
  const auto blocked = [&](const std::stop_token&) -> EventLoop::Task {
    go.acquire();
    return {};
  };
  for (int i = 0; i < 3; ++i) CHECK(crew.change({"a" + std::to_string(i)}, blocked, {}));
  CHECK_FALSE(crew.change({"b"}, blocked, {}));
  for (int i = 0; i < 3; ++i) CHECK(crew.ask(blocked, {}));
  CHECK_FALSE(crew.ask(blocked, {}));
  go.release(6);
  crew.when_idle([&] { loop.quit(); });
  loop.run();
}

TEST_CASE("a stop drops what waits and reaches what runs") {
  EventLoop loop;
  Crew crew{loop, {1, 1, 10}};
  std::counting_semaphore<8> stopped{0};
  int dropped = 0;
  bool finished = false;
  crew.change({"a"},
              [&](const std::stop_token& stop) -> EventLoop::Task {
                const std::stop_callback callback{stop, [&] { stopped.release(); }};
                stopped.acquire();
                return [&] { finished = true; };
              },
              {});
  crew.change(
      {"a"}, [](const std::stop_token&) -> EventLoop::Task { return {}; }, [&] { ++dropped; });
  crew.stop();
  CHECK(dropped == 1);
  CHECK_FALSE(crew.change({"a"}, [](const std::stop_token&) -> EventLoop::Task { return {}; }, {}));
  CHECK_FALSE(crew.ask([](const std::stop_token&) -> EventLoop::Task { return {}; }, {}));
  crew.when_idle([&] { loop.quit(); });
  loop.run();
  CHECK(finished);
}
