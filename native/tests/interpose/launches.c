#include "tests/interpose/launches.h"

#include <unistd.h>

#include "core/core.h"
#include "core/region.h"
#include "fake/card/card.h"
#include "tests/core/check.h"

#define MS 1000000ULL
#define KERNEL_NS (60 * MS)

static struct hami_region region;

static void attach(void) {
  char path[512];
  const char *limits = getenv("HAMI_LIMITS_FILE");
  CHECK(limits != NULL);
  (void)snprintf(path, sizeof path, "%s", limits);
  char *slash = strrchr(path, '/');
  CHECK(slash != NULL);
  (void)snprintf(slash, sizeof path - (size_t)(slash - path), "/region");
  CHECK_EQUAL(HAMI_REGION_OK, hami_region_attach(&region, &hami_effects_system, path, 1));
}

static uint64_t counted_ns(void) { return hami_region_device_at(&region, 0)->busy_ns; }

/* What finished launches took is settled by a later one. */
static void settle(const struct launch_path *first, void (*synchronise)(void)) {
  static const uint64_t nothing_ns = 1;
  synchronise();
  (void)usleep(30000); /* without a limit one launch in 20 ms is looked at */
  CHECK_EQUAL(0, first->launch(&nothing_ns));
  synchronise();
}

static void check(const struct launch_path *path, const struct launch_path *first, bool limited,
                  void (*synchronise)(void)) {
  static const uint64_t kernel_ns = KERNEL_NS;
  printf("%s\n", path->name);
  fflush(stdout);
  settle(first, synchronise);
  uint64_t before_ns = counted_ns();
  uint64_t worked_ns = fake_busy_ns();
  (void)usleep(30000);
  CHECK_EQUAL(0, path->launch(&kernel_ns));
  CHECK_EQUAL(KERNEL_NS, fake_busy_ns() - worked_ns);
  settle(first, synchronise);
  uint64_t charged_ns = counted_ns() - before_ns;
  if (path->kind == LAUNCH_ESTIMATED) {
    CHECK(!limited || charged_ns > 0);
  } else {
    CHECK(charged_ns >= KERNEL_NS - MS);
    CHECK(charged_ns < 2 * KERNEL_NS);
  }
}

void launches_check(const struct launch_path *paths, size_t count, void (*synchronise)(void)) {
  static const uint64_t nothing_ns = 1;
  CHECK_EQUAL(0, paths[0].launch(&nothing_ns)); /* makes the region */
  attach();
  bool limited = region.devices != NULL && hami_region_device_at(&region, 0)->core_percent != 0;
  for (size_t i = 0; i < count; i++) {
    check(&paths[i], &paths[0], limited, synchronise);
  }
}
