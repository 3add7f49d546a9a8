/*
 * Virtual memory management. A physical handle is memory of a card with a count of those who hold it: handle references
 * and mappings. Reserved addresses are a block with a list of mappings; mapping really aliases the memory.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "driver.h"
#include "vmm.h"

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
  case CU_MEM_LOCATION_TYPE_DEVICE_LOCALITY_DOMAIN: /* of which each card has one */
    if (!fake_device_valid(properties->location.localized.deviceId)) {
      return CUDA_ERROR_INVALID_DEVICE;
    }
    *unit = fake_driver.units[properties->location.localized.deviceId];
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
  struct fake_trailer trailer = {.magic = FAKE_TRAILER_MAGIC, .size = size, .unit = unit, .properties = *properties};
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

void fake_physical_drop_if_done(struct fake_physical *physical) {
  if (physical->handles > 0 || physical->mappings > 0) {
    return;
  }
  if (physical->shared_id != 0) {
    fake_state_let_go(fake_driver.state, physical->shared_id);
  } else if (physical->charged > 0) {
    fake_state_uncharge(fake_driver.state, physical->unit, physical->charged);
  }
  close(physical->fd);
  fake_object_delete(physical);
}

CUresult cuMemRelease(CUmemGenericAllocationHandle handle) {
  FAKE_ENTER(cuMemRelease);
  pthread_mutex_lock(&fake_lock);
  struct fake_physical *physical = fake_physical_of(handle);
  bool good = physical != NULL && physical->handles > 0;
  if (good) {
    physical->handles--;
    fake_physical_drop_if_done(physical);
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
  CUresult result = map(address, size, fake_physical_of(handle));
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
    fake_physical_drop_if_done(mapping->physical);
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
  const struct fake_physical *physical = fake_physical_of(handle);
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
