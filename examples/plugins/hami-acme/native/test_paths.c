/* Every way to get memory from Acme's driver. Run inside a share of 1000 MiB. */
#include "api.h"
#include "fake/card/card.h"
#include "tests/interpose/paths.h"

static int get(uint64_t bytes, struct held *held) { return acmeMalloc(&held->pointer, bytes); }
static int put(struct held *held) { return acmeFree(held->pointer); }

static const struct path paths[] = {{"acmeMalloc", get, put}};

static void info(uint64_t *free_bytes, uint64_t *total_bytes) {
  size_t is_free = 0;
  size_t total = 0;
  CHECK_EQUAL(ACME_SUCCESS, acmeMemInfo(&is_free, &total));
  *free_bytes = is_free;
  *total_bytes = total;
}

int main(void) {
  const struct vendor_under_test vendor = {
      .paths = paths,
      .count = sizeof paths / sizeof paths[0],
      .out_of_memory = ACME_NO_MEMORY,
      .refused = 102,
      .info = info,
  };
  paths_check(&vendor);
  void *pinned = NULL;
  CHECK_EQUAL(ACME_SUCCESS, acmeMallocPinned(&pinned, 1));
  return 0;
}
