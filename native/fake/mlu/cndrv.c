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

static CNresult invoke(CNkernel kernel, CNqueue queue) {
  if (kernel == NULL) {
    return INVALID;
  }
  card_launch(queue, kernel);
  return CN_SUCCESS;
}

static CNresult table_malloc(CNaddr *out, cn_uint64_t bytes) { return take(out, bytes); }
static CNresult table_free(CNaddr address) { return give(address); }
static CNresult table_info(cn_uint64_t *free, cn_uint64_t *total) { return cnMemGetInfo(free, total); }
static CNresult table_invoke(CNkernel hkernel, unsigned int dimx, unsigned int dimy, unsigned int dimz, KernelClass c,
                             unsigned int reserve, CNqueue hqueue, void **kernelParams, void **extra) {
  return cnInvokeKernel(hkernel, dimx, dimy, dimz, c, reserve, hqueue, kernelParams, extra);
}

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

CNresult cnInvokeKernel(CNkernel hkernel, unsigned int dimx, unsigned int dimy, unsigned int dimz, KernelClass c,
                        unsigned int reserve, CNqueue hqueue, void **kernelParams, void **extra) {
  UNUSED(dimx), UNUSED(dimy), UNUSED(dimz), UNUSED(c), UNUSED(reserve), UNUSED(kernelParams);
  /* Arguments on the stack arrive too, or the caller's and the wrapper's ideas of the ABI differ. */
  return extra == NULL ? invoke(hkernel, hqueue) : INVALID;
}

/* Not in api.h: the library passes their arguments on unread. These are the double's. */
#pragma GCC visibility push(default)
CNresult cnInvokeKernelEx(const void *config, CNkernel kernel, void **kernelParams, void **extra);
CNresult cnTaskTopoEntityInvoke(const void *entity, CNqueue queue);
#pragma GCC visibility pop

CNresult cnInvokeKernelEx(const void *config, CNkernel kernel, void **kernelParams, void **extra) {
  UNUSED(kernelParams);
  return config != NULL && extra == (void **)0x77 ? invoke(kernel, NULL) : INVALID;
}

CNresult cnTaskTopoEntityInvoke(const void *entity, CNqueue queue) {
  return invoke((CNkernel)(uintptr_t)entity, queue);
}

CNresult cnCreateNotifier(CNnotifier *phnotifier, unsigned int flags) {
  UNUSED(flags);
  *phnotifier = card_event_create();
  return *phnotifier == NULL ? INVALID : CN_SUCCESS;
}

CNresult cnDestroyNotifier(CNnotifier hnotifier) {
  card_event_destroy(hnotifier);
  return CN_SUCCESS;
}

CNresult cnPlaceNotifier(CNnotifier hnotifier, CNqueue hqueue) {
  card_event_record(hnotifier, hqueue);
  return CN_SUCCESS;
}

CNresult cnQueryNotifier(CNnotifier hnotifier) {
  return card_event_reached(hnotifier) ? CN_SUCCESS : CN_ERROR_NOT_READY;
}

CNresult cnQueueSync(CNqueue hqueue) {
  card_synchronise(hqueue);
  return CN_SUCCESS;
}

CNresult cnNotifierElapsedTime(float *pMilliseconds, CNnotifier hstart, CNnotifier hend) {
  *pMilliseconds = (float)card_event_between_ns(hstart, hend) / 1e6F;
  return CN_SUCCESS;
}

CNresult cnGetExportFunction(const char *name, const void **fn) {
  static const struct {
    const char *name;
    const void *function;
  } table[] = {{"cnMalloc", (const void *)table_malloc},
               {"cnFree", (const void *)table_free},
               {"cnMemGetInfo", (const void *)table_info},
               {"cnInvokeKernel", (const void *)table_invoke},
               {"cnTaskTopoEntityInvoke", (const void *)cnTaskTopoEntityInvoke},
               {"cnCtxGetDevice", (const void *)cnCtxGetDevice}};
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    if (strcmp(table[i].name, name) == 0) {
      *fn = table[i].function;
      return CN_SUCCESS;
    }
  }
  return INVALID;
}
