#include "vmm/brief_pause.hpp"

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>

using namespace fireclaw;
using namespace fireclaw::vmm;

namespace {

/// An engine that does nothing, and how often its machine was told to continue.
struct Fixture {
  EngineProcess process = lasting("100");
  int resumed = 0;
  std::optional<Error> refusal;

  static EngineProcess lasting(const std::string& seconds) {
    sys::SpawnSpec spec;
    spec.argv = {"/bin/sleep", seconds};
    spec.die_with_parent = true;
    return EngineProcess::start(spec);
  }
  std::chrono::nanoseconds during(const std::function<void(BriefPause&)>& copy) {
    const auto resume = [this](Deadline deadline) {
      CHECK_FALSE(deadline.passed());
      ++resumed;
      if (refusal) throw Error{*refusal};
    };
    return pause_briefly(process, resume, copy);
  }
};

const Error no_space{ErrorCode::Io, "no space"};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a brief pause that is ended is over, whatever fails after it") {
  CHECK(during([](BriefPause& brief_pause) {
          brief_pause.begin();
          brief_pause.end();
        }).count() > 0);
  CHECK(resumed == 1);
  CHECK_THROWS_AS(during([](BriefPause& brief_pause) {
                    brief_pause.begin();
                    brief_pause.end();
                    throw Error{no_space};
                  }),
                  Error);
  CHECK(resumed == 2);
}

TEST_CASE_FIXTURE(Fixture, "whatever fails in a brief pause, the machine continues and the failure is told") {
  CHECK_THROWS_WITH(during([](BriefPause& brief_pause) {
                      brief_pause.begin();
                      throw Error{no_space};
                    }),
                    "no space");
  CHECK(resumed == 1);
  CHECK_THROWS_AS(during([](BriefPause& brief_pause) {
                    brief_pause.begin();
                    throw std::runtime_error{"anything"};
                  }),
                  std::runtime_error);
  CHECK(resumed == 2);
}

TEST_CASE_FIXTURE(Fixture, "a machine that was not stopped yet is not told to continue") {
  CHECK_THROWS_WITH(during([](BriefPause&) { throw Error{no_space}; }), "no space");
  CHECK(resumed == 0);
}

TEST_CASE_FIXTURE(Fixture, "a machine that cannot be resumed stays paused, and the error says so") {
  refusal = Error{ErrorCode::Timeout, "no answer"};
  CHECK_THROWS_AS(during([](BriefPause& brief_pause) {
                    brief_pause.begin();
                    brief_pause.end();
                  }),
                  StaysPaused);
  CHECK(resumed == 1);
  try {
    during([](BriefPause& brief_pause) {
      brief_pause.begin();
      throw Error{no_space};
    });
    FAIL("nothing was thrown");
  } catch (const StaysPaused& problem) {
    CHECK(problem.message() == "no space; and the machine stays paused: no answer");
  }
}

TEST_CASE_FIXTURE(Fixture, "an engine that has ended leaves nothing paused") {
  refusal = Error{ErrorCode::Vmm, "it hung up"};
  process.kill();
  CHECK_THROWS_WITH(during([](BriefPause& brief_pause) {
                      brief_pause.begin();
                      throw Error{no_space};
                    }),
                    "no space");
  try {
    during([](BriefPause& brief_pause) {
      brief_pause.begin();
      brief_pause.end();
    });
    FAIL("nothing was thrown");
  } catch (const StaysPaused&) {
    FAIL("its engine has ended");
  } catch (const Error& problem) {
    CHECK(problem.message() == "it hung up");
  }
}

TEST_CASE("an engine that ends a moment after it has hung up leaves nothing paused") {
  auto process = Fixture::lasting("0.3");
  const auto hang_up = [](Deadline) { throw Error{ErrorCode::Vmm, "it hung up"}; };
  try {
    pause_briefly(process, hang_up, [](BriefPause& brief_pause) {
      brief_pause.begin();
      brief_pause.end();
    });
    FAIL("nothing was thrown");
  } catch (const StaysPaused&) {
    FAIL("its engine has ended");
  } catch (const Error& problem) {
    CHECK(problem.message() == "it hung up");
  }
}
