/* A test double of libmusart.so: loads the driver itself and reaches it by the private table alone. */
#include <dlfcn.h>
#include <stdbool.h>

#include "api.h"
#include "table.h"

#define INITIALIZATION_ERROR 3

/* What the library neither wraps nor calls. */
__attribute__((visibility("default"))) musaError_t musaSetDevice(int device);

static const struct driver_table *driver(void) {
  static const struct driver_table *known; /* racing threads find the same one */
  const struct driver_table *table = __atomic_load_n(&known, __ATOMIC_ACQUIRE);
  if (table == NULL) {
    void *library = dlopen("libmusa.so.1", RTLD_NOW | RTLD_LOCAL);
    void *get = library == NULL ? NULL : dlsym(library, "muGetExportTable");
    if (get != NULL) {
      (void)((__typeof__(&muGetExportTable))(uintptr_t)get)((const void **)&table, "private");
      __atomic_store_n(&known, table, __ATOMIC_RELEASE);
    }
  }
  return table;
}

musaError_t musaMalloc(void **devPtr, size_t size) {
  MUdeviceptr address = 0;
  if (driver() == NULL) {
    return INITIALIZATION_ERROR;
  }
  MUresult result = driver()->allocate(devPtr == NULL ? NULL : &address, size);
  if (result == MUSA_SUCCESS) {
    *devPtr = (void *)(uintptr_t)address;
  }
  return result;
}

musaError_t musaFree(void *devPtr) {
  return driver() == NULL ? INITIALIZATION_ERROR : driver()->release((uintptr_t)devPtr);
}

musaError_t musaMemGetInfo(size_t *free, size_t *total) {
  return driver() == NULL ? INITIALIZATION_ERROR : driver()->info(free, total);
}

musaError_t musaGetDevice(int *device) { return driver() == NULL ? INITIALIZATION_ERROR : driver()->current(device); }

musaError_t musaSetDevice(int device) { return driver() == NULL ? INITIALIZATION_ERROR : driver()->use(device); }

musaError_t musaLaunchKernel(const void *func, dim3 gridDim, dim3 blockDim, void **args, size_t sharedMem,
                             MUstream stream) {
  (void)args;
  bool arrived = gridDim.x == 7 && gridDim.y == 8 && gridDim.z == 9 && blockDim.z == 12 && sharedMem == 13;
  return driver() == NULL || !arrived ? INITIALIZATION_ERROR : driver()->launch(func, stream);
}

musaError_t musaGraphLaunch(MUgraphExec graphExec, MUstream stream) {
  return driver() == NULL ? INITIALIZATION_ERROR : driver()->launch(graphExec, stream);
}
