/*
 * Virtual memory management. A physical handle is memory of a card with a count of those who hold it: handle references
 * and mappings. Reserved addresses are a block with a list of mappings; mapping really aliases the memory.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver.h"

#define TRAILER_MAGIC 0x48414D4950485953ull

struct fake_physical {
  struct fake_object object;
  CUmemAllocationProp properties;
  size_t size;
  int unit; /* -1: host memory */
  uint64_t charged;
  unsigned handles;
  unsigned mappings;
  int fd; /* its memory */
};

struct fake_mapping {
  struct fake_mapping *next;
  uint64_t offset;
  size_t size;
  struct fake_physical *physical;
  bool accessible;
};

/* Follows the memory in the file of an exported handle, and tells the importing process what it is. */
struct trailer {
  uint64_t magic;
  uint64_t size;
  int32_t unit;
  int32_t reserved;
  CUmemAllocationProp properties;
};

static struct fake_physical *physical_of(CUmemGenericAllocationHandle handle) {
  struct fake_physical *physical = (struct fake_physical *)(uintptr_t)handle;
  return fake_object_is(physical, FAKE_PHYSICAL) ? physical : NULL;
}

static CUresult check(const CUmemAllocationProp *properties, int *unit) {
  if (properties == NULL || properties->type != CU_MEM_ALLOCATION_TYPE_PINNED) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  switch ((int)properties->location.type) {
  case CU_MEM_LOCATION_TYPE_DEVICE:
    if (!fake_device_valid(properties->location.id)) {
      return CUDA_ERROR_INVALID_DEVICE;
    }
    *unit = fake_driver.units[properties->location.id];
    return CUDA_SUCCESS;
  case CU_MEM_LOCATION_TYPE_HOST:
  case CU_MEM_LOCATION_TYPE_HOST_NUMA:
  case CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT:
    *unit = -1;
    return CUDA_SUCCESS;
  default:
    return CUDA_ERROR_INVALID_VALUE;
  }
}

CUresult cuMemGetAllocationGranularity(size_t *granularity, const CUmemAllocationProp *properties,
                                       CUmemAllocationGranularity_flags option) {
  FAKE_ENTER(cuMemGetAllocationGranularity);
  int unit = 0;
  (void)option;
  if (granularity == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  FAKE_TRY(check(properties, &unit));
  *granularity = FAKE_CHUNK_BYTES;
  return CUDA_SUCCESS;
}

/* A file that holds the memory and then the trailer. */
static int new_file(const CUmemAllocationProp *properties, size_t size, int unit) {
  struct trailer trailer = {.magic = TRAILER_MAGIC, .size = size, .unit = unit, .properties = *properties};
  int fd = memfd_create("hami-fake-physical", MFD_CLOEXEC);
  if (fd >= 0 && (ftruncate(fd, (off_t)size) != 0 ||
                  pwrite(fd, &trailer, sizeof trailer, (off_t)size) != (ssize_t)sizeof trailer)) {
    close(fd);
    return -1;
  }
  return fd;
}

CUresult cuMemCreate(CUmemGenericAllocationHandle *out, size_t size, const CUmemAllocationProp *properties,
                     unsigned long long flags) {
  FAKE_ENTER(cuMemCreate);
  int unit = 0;
  if (out == NULL || flags != 0 || size == 0 || size % FAKE_CHUNK_BYTES != 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  FAKE_TRY(check(properties, &unit));
  if (unit >= 0 && !fake_state_charge(fake_driver.state, unit, size)) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  struct fake_physical *physical = fake_object_new(FAKE_PHYSICAL, sizeof *physical);
  int fd = physical == NULL ? -1 : new_file(properties, size, unit);
  if (fd < 0) {
    if (physical != NULL) {
      fake_object_delete(physical);
    }
    if (unit >= 0) {
      fake_state_uncharge(fake_driver.state, unit, size);
    }
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  if (unit < 0) {
    fake_residency_made();
  }
  physical->properties = *properties;
  physical->size = size;
  physical->unit = unit;
  physical->charged = unit >= 0 ? size : 0;
  physical->handles = 1;
  physical->fd = fd;
  *out = (CUmemGenericAllocationHandle)(uintptr_t)physical;
  return CUDA_SUCCESS;
}

/* Needs fake_lock. */
static void drop_if_done(struct fake_physical *physical) {
  if (physical->handles > 0 || physical->mappings > 0) {
    return;
  }
  if (physical->charged > 0) {
    fake_state_uncharge(fake_driver.state, physical->unit, physical->charged);
  }
  close(physical->fd);
  fake_object_delete(physical);
}

CUresult cuMemRelease(CUmemGenericAllocationHandle handle) {
  FAKE_ENTER(cuMemRelease);
  pthread_mutex_lock(&fake_lock);
  struct fake_physical *physical = physical_of(handle);
  bool good = physical != NULL && physical->handles > 0;
  if (good) {
    physical->handles--;
    drop_if_done(physical);
  }
  pthread_mutex_unlock(&fake_lock);
  return good ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemAddressReserve(CUdeviceptr *out, size_t size, size_t alignment, CUdeviceptr address,
                             unsigned long long flags) {
  FAKE_ENTER(cuMemAddressReserve);
  (void)address; /* a wish, which the driver need not grant */
  if (out == NULL || size == 0 || size % FAKE_CHUNK_BYTES != 0 || flags != 0 || (alignment & (alignment - 1)) != 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  pthread_mutex_lock(&fake_lock);
  struct fake_block *block =
      fake_block_new(size, alignment > FAKE_CHUNK_BYTES ? alignment : FAKE_CHUNK_BYTES, FAKE_BLOCK_RESERVATION, NULL);
  if (block != NULL) {
    *out = block->base;
  }
  pthread_mutex_unlock(&fake_lock);
  return block == NULL ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}

CUresult cuMemAddressFree(CUdeviceptr address, size_t size) {
  FAKE_ENTER(cuMemAddressFree);
  pthread_mutex_lock(&fake_lock);
  struct fake_block *block = fake_block_at(address);
  bool good = block != NULL && block->kind == FAKE_BLOCK_RESERVATION && block->base == address && block->size == size &&
              block->mappings == NULL;
  if (good) {
    fake_block_delete(block);
  }
  pthread_mutex_unlock(&fake_lock);
  return good ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static bool overlaps(const struct fake_block *block, uint64_t offset, size_t size) {
  for (const struct fake_mapping *mapping = block->mappings; mapping != NULL; mapping = mapping->next) {
    if (offset < mapping->offset + mapping->size && mapping->offset < offset + size) {
      return true;
    }
  }
  return false;
}

/* Needs fake_lock. */
static CUresult map(CUdeviceptr address, size_t size, struct fake_physical *physical) {
  struct fake_block *block = fake_block_at(address);
  if (block == NULL || block->kind != FAKE_BLOCK_RESERVATION || physical == NULL || size != physical->size ||
      address % FAKE_CHUNK_BYTES != 0 || size > block->size - (address - block->base) ||
      overlaps(block, address - block->base, size)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  struct fake_mapping *mapping = calloc(1, sizeof *mapping);
  void *memory = mapping == NULL ? MAP_FAILED
                                 : mmap((void *)(uintptr_t)address, size, PROT_READ | PROT_WRITE,
                                        MAP_SHARED | MAP_FIXED | MAP_NORESERVE, physical->fd, 0);
  if (memory == MAP_FAILED) {
    free(mapping);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  *mapping = (struct fake_mapping){
      .next = block->mappings, .offset = address - block->base, .size = size, .physical = physical};
  block->mappings = mapping;
  physical->mappings++;
  return CUDA_SUCCESS;
}

CUresult cuMemMap(CUdeviceptr address, size_t size, size_t offset, CUmemGenericAllocationHandle handle,
                  unsigned long long flags) {
  FAKE_ENTER(cuMemMap);
  if (offset != 0 || flags != 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  pthread_mutex_lock(&fake_lock);
  CUresult result = map(address, size, physical_of(handle));
  pthread_mutex_unlock(&fake_lock);
  return result;
}

/* Takes the mappings that lie in [offset, offset + size) away; needs fake_lock. */
static void unmap(struct fake_block *block, uint64_t offset, size_t size) {
  struct fake_mapping **link = &block->mappings;
  while (*link != NULL) {
    struct fake_mapping *mapping = *link;
    if (mapping->offset < offset || mapping->offset + mapping->size > offset + size) {
      link = &mapping->next;
      continue;
    }
    *link = mapping->next;
    fake_arena_restore(block->base + mapping->offset, mapping->size);
    mapping->physical->mappings--;
    drop_if_done(mapping->physical);
    free(mapping);
  }
}

CUresult cuMemUnmap(CUdeviceptr address, size_t size) {
  FAKE_ENTER(cuMemUnmap);
  pthread_mutex_lock(&fake_lock);
  struct fake_block *block = fake_block_at(address);
  uint64_t offset = block == NULL ? 0 : address - block->base;
  bool good = block != NULL && block->kind == FAKE_BLOCK_RESERVATION && size <= block->size - offset &&
              overlaps(block, offset, size);
  if (good) {
    unmap(block, offset, size);
  }
  pthread_mutex_unlock(&fake_lock);
  return good ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static struct fake_mapping *mapping_at(const struct fake_block *block, uint64_t offset) {
  for (struct fake_mapping *mapping = block->mappings; mapping != NULL; mapping = mapping->next) {
    if (offset >= mapping->offset && offset < mapping->offset + mapping->size) {
      return mapping;
    }
  }
  return NULL;
}

uint64_t fake_mapping_host_bytes(const struct fake_block *block, uint64_t offset) {
  const struct fake_mapping *mapping = mapping_at(block, offset);
  return mapping != NULL && mapping->physical->unit < 0 ? mapping->size : 0;
}

bool fake_mapping_covers(const struct fake_block *block, uint64_t offset, size_t size) {
  uint64_t end = offset + size;
  while (offset < end) {
    const struct fake_mapping *mapping = mapping_at(block, offset);
    if (mapping == NULL || !mapping->accessible) {
      return false;
    }
    offset = mapping->offset + mapping->size;
  }
  return true;
}

CUresult cuMemSetAccess(CUdeviceptr address, size_t size, const CUmemAccessDesc *access, size_t count) {
  FAKE_ENTER(cuMemSetAccess);
  if (access == NULL || count == 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  pthread_mutex_lock(&fake_lock);
  struct fake_block *block = fake_block_at(address);
  uint64_t offset = block == NULL ? 0 : address - block->base;
  bool good = block != NULL && block->kind == FAKE_BLOCK_RESERVATION && size <= block->size - offset;
  for (uint64_t at = offset; good && at < offset + size;) {
    struct fake_mapping *mapping = mapping_at(block, at);
    good = mapping != NULL;
    if (good) {
      mapping->accessible = access[0].flags != CU_MEM_ACCESS_FLAGS_PROT_NONE;
      at = mapping->offset + mapping->size;
    }
  }
  pthread_mutex_unlock(&fake_lock);
  return good ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemGetAccess(unsigned long long *flags, const CUmemLocation *location, CUdeviceptr address) {
  FAKE_ENTER(cuMemGetAccess);
  if (flags == NULL || location == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  pthread_mutex_lock(&fake_lock);
  const struct fake_block *block = fake_block_at(address);
  const struct fake_mapping *mapping = block == NULL ? NULL : mapping_at(block, address - block->base);
  *flags = mapping != NULL && mapping->accessible ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE : CU_MEM_ACCESS_FLAGS_PROT_NONE;
  pthread_mutex_unlock(&fake_lock);
  return mapping == NULL ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult cuMemGetAllocationPropertiesFromHandle(CUmemAllocationProp *properties, CUmemGenericAllocationHandle handle) {
  FAKE_ENTER(cuMemGetAllocationPropertiesFromHandle);
  const struct fake_physical *physical = physical_of(handle);
  if (properties == NULL || physical == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *properties = physical->properties;
  return CUDA_SUCCESS;
}

CUresult cuMemRetainAllocationHandle(CUmemGenericAllocationHandle *out, void *address) {
  FAKE_ENTER(cuMemRetainAllocationHandle);
  if (out == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  pthread_mutex_lock(&fake_lock);
  const struct fake_block *block = fake_block_at((CUdeviceptr)(uintptr_t)address);
  struct fake_mapping *mapping =
      block == NULL ? NULL : mapping_at(block, (CUdeviceptr)(uintptr_t)address - block->base);
  if (mapping != NULL) {
    mapping->physical->handles++;
    *out = (CUmemGenericAllocationHandle)(uintptr_t)mapping->physical;
  }
  pthread_mutex_unlock(&fake_lock);
  return mapping == NULL ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult cuMemExportToShareableHandle(void *out, CUmemGenericAllocationHandle handle, CUmemAllocationHandleType type,
                                      unsigned long long flags) {
  FAKE_ENTER(cuMemExportToShareableHandle);
  const struct fake_physical *physical = physical_of(handle);
  if (out == NULL || physical == NULL || flags != 0 || (physical->properties.requestedHandleTypes & type) == 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) {
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  int fd = dup(physical->fd);
  memcpy(out, &fd, sizeof fd);
  return fd < 0 ? CUDA_ERROR_OPERATING_SYSTEM : CUDA_SUCCESS;
}

/* The memory stays charged to the process that made it; the importer only keeps it alive for its own use. */
CUresult cuMemImportFromShareableHandle(CUmemGenericAllocationHandle *out, void *os_handle,
                                        CUmemAllocationHandleType type) {
  FAKE_ENTER(cuMemImportFromShareableHandle);
  if (out == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) {
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  struct trailer trailer = {0};
  struct stat status;
  int fd = dup((int)(intptr_t)os_handle);
  bool good = fd >= 0 && fstat(fd, &status) == 0 && status.st_size > (off_t)sizeof trailer &&
              pread(fd, &trailer, sizeof trailer, status.st_size - (off_t)sizeof trailer) == (ssize_t)sizeof trailer &&
              trailer.magic == TRAILER_MAGIC && trailer.size == (uint64_t)status.st_size - sizeof trailer;
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
  *out = (CUmemGenericAllocationHandle)(uintptr_t)physical;
  return CUDA_SUCCESS;
}
