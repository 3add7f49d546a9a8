/* Handles of physical memory for other processes. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm.h"

/* The number of the file is the same for all who have it open. */
static uint64_t id_of(int fd) {
  struct stat status;
  return fstat(fd, &status) == 0 ? (uint64_t)status.st_ino : 0;
}

static bool offer(struct fake_physical *physical) {
  pthread_mutex_lock(&fake_lock);
  bool offered = physical->shared_id != 0 || physical->unit < 0;
  if (!offered) {
    uint64_t id = id_of(physical->fd);
    offered = id != 0 && fake_state_offer(fake_driver.state, id, physical->unit, physical->charged);
    physical->shared_id = offered ? id : 0;
  }
  pthread_mutex_unlock(&fake_lock);
  return offered;
}

CUresult cuMemExportToShareableHandle(void *out, CUmemGenericAllocationHandle handle, CUmemAllocationHandleType type,
                                      unsigned long long flags) {
  FAKE_ENTER(cuMemExportToShareableHandle);
  struct fake_physical *physical = fake_physical_of(handle);
  if (out == NULL || physical == NULL || flags != 0 || (physical->properties.requestedHandleTypes & type) == 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) {
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  int fd = dup(physical->fd);
  if (fd >= 0 && !offer(physical)) {
    close(fd);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  memcpy(out, &fd, sizeof fd);
  return fd < 0 ? CUDA_ERROR_OPERATING_SYSTEM : CUDA_SUCCESS;
}

/* The memory stays charged to the process that made it, while that holds it. */
CUresult cuMemImportFromShareableHandle(CUmemGenericAllocationHandle *out, void *os_handle,
                                        CUmemAllocationHandleType type) {
  FAKE_ENTER(cuMemImportFromShareableHandle);
  if (out == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) {
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  struct fake_trailer trailer = {0};
  struct stat status;
  int fd = dup((int)(intptr_t)os_handle);
  bool good = fd >= 0 && fstat(fd, &status) == 0 && status.st_size > (off_t)sizeof trailer &&
              pread(fd, &trailer, sizeof trailer, status.st_size - (off_t)sizeof trailer) == (ssize_t)sizeof trailer &&
              trailer.magic == FAKE_TRAILER_MAGIC && trailer.size == (uint64_t)status.st_size - sizeof trailer;
  struct fake_physical *physical = good ? fake_object_new(FAKE_PHYSICAL, sizeof *physical) : NULL;
  if (physical == NULL) {
    if (fd >= 0) {
      close(fd);
    }
    return CUDA_ERROR_INVALID_VALUE;
  }
  physical->properties = trailer.properties;
  physical->size = trailer.size;
  physical->unit = trailer.unit;
  physical->handles = 1;
  physical->fd = fd;
  uint64_t id = trailer.unit < 0 ? 0 : id_of(fd);
  physical->shared_id = id != 0 && fake_state_hold(fake_driver.state, id) ? id : 0;
  *out = (CUmemGenericAllocationHandle)(uintptr_t)physical;
  return CUDA_SUCCESS;
}
