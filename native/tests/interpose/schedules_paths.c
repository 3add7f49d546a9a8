/* Random schedules for a vendor, over the ways to get memory that its tests list (paths.h). */
#include <pthread.h>

#include "fake/card/card.h"
#include "tests/interpose/paths.h"
#include "tests/interpose/schedules.h"

#define MOST_THREADS 2U
#define OPERATIONS 20U
#define HOLDINGS 4U

struct holding {
  const struct path *path; /* NULL: nothing is held */
  uint32_t mib;
  struct held held;
};

static const struct vendor_under_test *under_test;
static uint32_t gets_until_refused; /* 0: none is refused */

static bool is_to_be_refused(void) {
  return __atomic_load_n(&gets_until_refused, __ATOMIC_RELAXED) != 0 &&
         __atomic_fetch_sub(&gets_until_refused, 1, __ATOMIC_RELAXED) == 1;
}

static void get(unsigned int *seed, struct holding *holding) {
  const struct path *path = &under_test->paths[(size_t)rand_r(seed) % under_test->count];
  uint32_t mib = 2 * (1 + (uint32_t)rand_r(seed) % 180);
  if (is_to_be_refused()) {
    fake_refuse_next(1);
  }
  int result = path->get(mib * MIB, &holding->held);
  if (result == 0) {
    holding->path = path;
    holding->mib = mib;
    (void)schedules_note(mib);
  } else {
    CHECK(result == under_test->out_of_memory || result == under_test->refused);
  }
}

static void put(struct holding *holding) {
  (void)schedules_note(-(int64_t)holding->mib);
  CHECK_EQUAL(0, holding->path->put(&holding->held));
  holding->path = NULL;
}

static void *run_thread(void *number) {
  unsigned int seed = (unsigned int)(uintptr_t)number;
  struct holding holdings[HOLDINGS] = {{0}};
  for (unsigned int i = 0; i < OPERATIONS; i++) {
    struct holding *holding = &holdings[(unsigned int)rand_r(&seed) % HOLDINGS];
    if (holding->path != NULL) {
      put(holding);
    } else {
      get(&seed, holding);
    }
  }
  for (unsigned int i = 0; i < HOLDINGS; i++) {
    if (holdings[i].path != NULL) {
      put(&holdings[i]);
    }
  }
  return NULL;
}

static void work(unsigned int seed) {
  pthread_t threads[MOST_THREADS];
  unsigned int count = (unsigned int)strtoul(getenv("SCHEDULES_THREADS"), NULL, 10);
  CHECK(count <= MOST_THREADS);
  gets_until_refused = (uint32_t)strtoul(getenv("SCHEDULES_REFUSED_GET"), NULL, 10);
  for (unsigned int i = 0; i < count; i++) {
    CHECK(pthread_create(&threads[i], NULL, run_thread, (void *)(uintptr_t)(seed * 100 + i)) == 0);
  }
  for (unsigned int i = 0; i < count; i++) {
    CHECK(pthread_join(threads[i], NULL) == 0);
  }
  CHECK_EQUAL(0, schedules_note(0));
}

static void refuse(const char *call, unsigned int k) {
  char text[16];
  (void)snprintf(text, sizeof text, "%u", call == NULL ? 0 : k);
  (void)setenv("SCHEDULES_REFUSED_GET", text, 1);
}

static void take_everything(void) {
  struct held held = {0};
  CHECK_EQUAL(0, under_test->paths[0].get(SHARE_BYTES, &held));
}

int schedules_of_paths(const struct vendor_under_test *vendor, int count, char **arguments) {
  static const char *const refusals[] = {"any way to get memory"};
  const struct schedules_subject subject = {
      .refusals = refusals, .refusal_count = 1, .refuse = refuse, .work = work, .take_everything = take_everything};
  under_test = vendor;
  return schedules_main(&subject, count, arguments);
}
