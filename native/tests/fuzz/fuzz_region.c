/*
 * The region as hostile bytes: the input overlays a region in order, before a process joins and again while it is in
 * it. Whatever they are, operations end, and the process's own books and limit hold.
 *
 * An input is places and bytes: two of offset in steps of 8, one of length, the bytes; a length of 0 ends the first
 * round.
 */
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/core/world.h"

#define LIMIT (100 * MIB)

static void overlay(const uint8_t **data, size_t *size) {
  int fd = open(world_path("region"), O_WRONLY | O_CLOEXEC);
  while (fd >= 0 && *size >= 3) {
    off_t at = ((off_t)(*data)[0] | (off_t)(*data)[1] << 8) * 8;
    size_t length = (*data)[2];
    *data += 3;
    *size -= 3;
    length = length < *size ? length : *size;
    FUZZ_CHECK(pwrite(fd, *data, length, at) == (ssize_t)length);
    *data += length;
    *size -= length;
    if (length == 0) {
      break; /* the next round begins */
    }
  }
  FUZZ_CHECK(fd < 0 || close(fd) == 0);
}

static void use(struct world_process *process) {
  struct hami_ledger_row rows[4];
  for (int i = 0; i < 3; i++) {
    bool granted = world_reserve(process, 0, 60 * MIB) != 0;
    FUZZ_CHECK(!granted || i == 0); /* twice 60 is more than 100 */
    (void)world_used(process, 0);
    (void)hami_ledger_rows(&process->ledger, 0, rows, 4);
    FUZZ_CHECK(hami_ledger_own_bytes(&process->ledger, 0) <= LIMIT);
    uint64_t charged = hami_pacing_admit(&process->pacing, 0, 1000, NULL);
    hami_pacing_settle(&process->pacing, 0, charged, 1000, 1);
    world_now_ns += 1000000000;
    hami_ledger_tick(&process->ledger, world_now_ns);
  }
}

static void leave(struct world_process *process) {
  world_release(process, 0, 60 * MIB);
  world_release(process, 0, 60 * MIB);
  FUZZ_CHECK(hami_ledger_own_bytes(&process->ledger, 0) == 0);
}

static void begin(void) {
  char text[512];
  world_begin();
  (void)snprintf(text, sizeof text,
                 "hami-limits 1\nregion %s\ncore-policy force\ndevice " WORLD_GPU_0 " memory_mib=100 core_percent=50\n",
                 world_path("region"));
  world_write("limits", text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  begin();
  struct world_process *first = world_process(7);
  overlay(&data, &size);
  struct world_process *second = world_process(8);
  use(second);
  overlay(&data, &size);
  use(first);
  leave(second);
  leave(first);
  world_free(first);
  world_free(second);
  return 0;
}
