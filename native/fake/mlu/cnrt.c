/* A test double of libcnrt: reaches the driver through cnGetExportFunction alone. */
#include <stdbool.h>

#include "api.h"
#include "fake/card/card.h"

typedef CNresult (*malloc_function)(CNaddr *, cn_uint64_t);
typedef CNresult (*free_function)(CNaddr);
typedef CNresult (*info_function)(cn_uint64_t *, cn_uint64_t *);

static const void *driver(const char *name) {
  const void *function = NULL;
  return cnGetExportFunction(name, &function) == CN_SUCCESS ? function : NULL;
}

cnrtRet_t cnrtMalloc(void **pPtr, size_t bytes) {
  CNaddr address = 0;
  CNresult result = ((malloc_function)(uintptr_t)driver("cnMalloc"))(pPtr == NULL ? NULL : &address, bytes);
  if (result == CN_SUCCESS) {
    *pPtr = (void *)(uintptr_t)address;
  }
  return result;
}

cnrtRet_t cnrtFree(void *ptr) { return ((free_function)(uintptr_t)driver("cnFree"))((uintptr_t)ptr); }

cnrtRet_t cnrtMemGetInfo(size_t *free, size_t *total) {
  return ((info_function)(uintptr_t)driver("cnMemGetInfo"))(free, total);
}

cnrtRet_t cnrtGetDevice(int *ordinal) {
  *ordinal = fake_current();
  return CN_SUCCESS;
}

cnrtRet_t cnrtSetDevice(int ordinal) { return fake_use(ordinal) ? CN_SUCCESS : CNRT_ERROR_NO_DEVICE; }

typedef CNresult (*topo_function)(const void *, CNqueue);
typedef CNresult (*invoke_function)(CNkernel, unsigned int, unsigned int, unsigned int, KernelClass, unsigned int,
                                    CNqueue, void **, void **);

typedef struct {
  unsigned int x;
  unsigned int y;
  unsigned int z;
} cnrtDim3_t;

static cnrtRet_t invoke(const void *kernel, cnrtDim3_t dim, int type, CNqueue queue) {
  invoke_function function = (invoke_function)(uintptr_t)driver("cnInvokeKernel");
  return function((CNkernel)(uintptr_t)kernel, dim.x, dim.y, dim.z, type, 0, queue, NULL, NULL);
}

/* Not in api.h: the library passes their arguments on unread. HAMI_FAKE_CNRT_4 makes it a release before 5, which had
 * another order of arguments, another name for making queues, and queues that are not the driver's. */
#pragma GCC visibility push(default)
#ifdef HAMI_FAKE_CNRT_4
cnrtRet_t cnrtInvokeKernel(const void *function, cnrtDim3_t dim, void *params, int c, void *stream);
cnrtRet_t cnrtInvokeKernel_V3(const void *function, void *init, cnrtDim3_t dim, void *params, int c, void *queue,
                              void *extra);

cnrtRet_t cnrtInvokeKernel(const void *function, cnrtDim3_t dim, void *params, int c, void *stream) {
  return params == (void *)0x55 && stream == (void *)0x33 && dim.z == 3 ? invoke(function, dim, c, NULL) : 100003;
}

cnrtRet_t cnrtInvokeKernel_V3(const void *function, void *init, cnrtDim3_t dim, void *params, int c, void *queue,
                              void *extra) {
  bool arrived = init == (void *)0x44 && params == (void *)0x55 && queue == (void *)0x33 && extra == (void *)0x66;
  return arrived && dim.z == 3 ? invoke(function, dim, c, NULL) : 100003;
}
#else
cnrtRet_t cnrtInvokeKernel(const void *kernel, cnrtDim3_t dim, int ktype, void **args, size_t reserved, CNqueue queue);

cnrtRet_t cnrtInvokeKernel(const void *kernel, cnrtDim3_t dim, int ktype, void **args, size_t reserved, CNqueue queue) {
  return args == (void **)0x55 && reserved == 6 && dim.z == 3 ? invoke(kernel, dim, ktype, queue) : 100003;
}

cnrtRet_t cnrtQueueCreate(CNqueue *pQueue) {
  *pQueue = NULL;
  return CN_SUCCESS;
}
#endif
#pragma GCC visibility pop

cnrtRet_t cnrtTaskTopoEntityInvoke(cnrtTaskTopoEntity_t entity, CNqueue queue) {
  return ((topo_function)(uintptr_t)driver("cnTaskTopoEntityInvoke"))(entity, queue);
}

/* Not wrapped, and allocates: an operator library's way into the runtime. */
__attribute__((visibility("default"))) cnrtRet_t cnrtFakeWorkspace(void **pPtr, size_t bytes);

cnrtRet_t cnrtFakeWorkspace(void **pPtr, size_t bytes) { return cnrtMalloc(pPtr, bytes); }
