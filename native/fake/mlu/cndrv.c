/* A test double of libcndrv: what it exports by table are functions of its own, not its symbols. */
#include <string.h>

#include "api.h"
#include "card.h"

#define NO_ROOM 100101 /* the driver's own cap: told apart from the share's */
#define INVALID 100003

#define UNUSED(name) (void)(name)

const char card_vendor[] = "mlu";
const char card_visible_variable[] = "MLU_VISIBLE_DEVICES";

static CNresult take(CNaddr *out, uint64_t bytes) {
  if (out == NULL) {
    return INVALID;
  }
  return card_take(bytes, out) ? CN_SUCCESS : NO_ROOM;
}

static CNresult give(CNaddr address) { return card_give(address) ? CN_SUCCESS : INVALID; }

static CNresult table_malloc(CNaddr *out, cn_uint64_t bytes) { return take(out, bytes); }
static CNresult table_free(CNaddr address) { return give(address); }
static CNresult table_info(cn_uint64_t *free, cn_uint64_t *total) { return cnMemGetInfo(free, total); }

CNresult cnMalloc(CNaddr *pmluAddr, cn_uint64_t bytes) { return take(pmluAddr, bytes); }
CNresult cnZmalloc(CNaddr *pmluAddr, cn_uint64_t bytes) { return cnMalloc(pmluAddr, bytes); }

CNresult cnMallocNode(CNaddr *pmluAddr, cn_uint64_t bytes, int node) {
  UNUSED(node);
  return take(pmluAddr, bytes);
}

CNresult cnMemAllocAsync(CNaddr *pmluAddr, size_t bytes, CNqueue queue) {
  UNUSED(queue);
  return take(pmluAddr, bytes);
}

CNresult cnFree(CNaddr mluAddr) { return give(mluAddr); }

CNresult cnMemFreeAsync(CNaddr mluAddr, CNqueue queue) {
  UNUSED(queue);
  return give(mluAddr);
}

CNresult cnMemCreate(CNmemGenericAllocationHandle *handle, cn_uint64_t size, const CNmemAllocationProp *prop,
                     cn_uint64_t flags) {
  UNUSED(prop), UNUSED(flags);
  return take(handle, size);
}

CNresult cnMemRelease(CNmemGenericAllocationHandle handle) { return give(handle); }

CNresult cnMemMap(CNaddr addr, cn_uint64_t size, cn_uint64_t offset, CNmemGenericAllocationHandle handle,
                  cn_uint64_t flags) {
  UNUSED(offset), UNUSED(flags);
  return card_map(addr, size, handle) ? CN_SUCCESS : INVALID;
}

CNresult cnMemUnmap(CNaddr addr, cn_uint64_t size) {
  UNUSED(size);
  return card_unmap(addr) ? CN_SUCCESS : INVALID;
}

CNresult cnMemGetInfo(cn_uint64_t *free, cn_uint64_t *total) {
  if (free == NULL || total == NULL) {
    return INVALID;
  }
  *total = card_bytes();
  *free = card_bytes() - fake_used_bytes();
  return CN_SUCCESS;
}

CNresult cnCtxGetDevice(CNdev *dev) {
  *dev = card_current();
  return CN_SUCCESS;
}

CNresult cnGetExportFunction(const char *name, const void **fn) {
  static const struct {
    const char *name;
    const void *function;
  } table[] = {{"cnMalloc", (const void *)table_malloc},
               {"cnFree", (const void *)table_free},
               {"cnMemGetInfo", (const void *)table_info},
               {"cnCtxGetDevice", (const void *)cnCtxGetDevice}};
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    if (strcmp(table[i].name, name) == 0) {
      *fn = table[i].function;
      return CN_SUCCESS;
    }
  }
  return INVALID;
}
