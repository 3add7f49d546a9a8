/* A test double of libcnrt: reaches the driver through cnGetExportFunction alone. */
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

/* Not wrapped, and allocates: an operator library's way into the runtime. */
__attribute__((visibility("default"))) cnrtRet_t cnrtFakeWorkspace(void **pPtr, size_t bytes);

cnrtRet_t cnrtFakeWorkspace(void **pPtr, size_t bytes) { return cnrtMalloc(pPtr, bytes); }
