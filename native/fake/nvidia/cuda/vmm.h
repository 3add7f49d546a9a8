/* Physical memory behind handles, for the files that map, share and tile it. */
#ifndef HAMI_FAKE_CUDA_VMM_H
#define HAMI_FAKE_CUDA_VMM_H

#include "driver.h"

#define FAKE_TRAILER_MAGIC 0x48414D4950485953ull

struct fake_physical {
  struct fake_object object;
  CUmemAllocationProp properties;
  size_t size;
  int unit; /* -1: host memory */
  uint64_t charged;
  unsigned handles;
  unsigned mappings;
  int fd;             /* its memory */
  uint64_t shared_id; /* once others may hold it; 0: not yet */
};

struct fake_mapping {
  struct fake_mapping *next;
  uint64_t offset;
  size_t size;
  struct fake_physical *physical;
  bool accessible;
};

/* Follows the memory in the file of an exported handle, and tells the importing process what it is. */
struct fake_trailer {
  uint64_t magic;
  uint64_t size;
  int32_t unit;
  int32_t reserved;
  CUmemAllocationProp properties;
};

static inline struct fake_physical *fake_physical_of(CUmemGenericAllocationHandle handle) {
  struct fake_physical *physical = (struct fake_physical *)(uintptr_t)handle;
  return fake_object_is(physical, FAKE_PHYSICAL) ? physical : NULL;
}

/* Frees it when neither a handle nor a mapping is left; needs fake_lock. */
void fake_physical_drop_if_done(struct fake_physical *physical);

#endif
