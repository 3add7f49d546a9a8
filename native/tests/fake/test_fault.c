#include "common/fault.h"

#include "tests/core/check.h"

static int failures(const char *name, int calls, int wanted_code) {
  int failed = 0;
  for (int i = 0; i < calls; i++) {
    int code = 0;
    if (fake_fault(name, &code)) {
      CHECK_EQUAL(wanted_code, code);
      failed++;
    }
  }
  return failed;
}

static void test_a_rule_hits_the_call_it_names(void) {
  int code = 0;
  CHECK(!fake_fault("cuA", &code));
  CHECK(fake_fault("cuA", &code));
  CHECK_EQUAL(2, code);
  CHECK(!fake_fault("cuA", &code));
}

static void test_a_plus_means_this_call_and_all_later_ones(void) { CHECK_EQUAL(3, failures("cuB", 5, 719)); }

static void test_no_number_means_every_call(void) { CHECK_EQUAL(4, failures("cuC", 4, 1)); }

static void test_other_calls_and_malformed_rules_hit_nothing(void) {
  CHECK_EQUAL(0, failures("cuD", 3, 0));
  CHECK_EQUAL(0, failures("cuE", 3, 0));
}

int main(void) {
  setenv("HAMI_FAKE_FAULTS", "cuA@2=2,cuB@3+=719; cuC=1, cuE@x=1, cuE=soon, =3, cuE", 1);
  RUN(test_a_rule_hits_the_call_it_names);
  RUN(test_a_plus_means_this_call_and_all_later_ones);
  RUN(test_no_number_means_every_call);
  RUN(test_other_calls_and_malformed_rules_hit_nothing);
  return 0;
}
