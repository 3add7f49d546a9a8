/* Memory of others: of another process (IPC), and of another API (external memory). */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver.h"

#define IPC_MAGIC 0x48495043u /* "HIPC" */

/* What is inside the 64 opaque bytes of a CUipcMemHandle. */
struct ipc_handle {
  uint32_t magic;
  int32_t pid;
  int32_t fd; /* of the owner's device memory, as a number in the owner */
  int32_t unit;
  uint64_t offset;
  uint64_t size;
  uint64_t shared_id;
};
_Static_assert(sizeof(struct ipc_handle) <= sizeof(CUipcMemHandle), "must fit the vendor's handle");

/* Needs fake_lock. */
static bool offer(struct fake_block *block) {
  uint64_t id = ((uint64_t)getpid() << 32 | (block->id & 0x7fffffffu)) | 1ull << 31; /* no inode is that large */
  if (block->shared_id == 0 && fake_state_offer(fake_driver.state, id, block->unit, block->charged)) {
    block->shared_id = id;
  }
  return block->shared_id != 0;
}

CUresult cuIpcGetMemHandle(CUipcMemHandle *out, CUdeviceptr pointer) {
  FAKE_ENTER(cuIpcGetMemHandle);
  CUresult result = CUDA_ERROR_INVALID_VALUE;
  if (out == NULL) {
    return result;
  }
  pthread_mutex_lock(&fake_lock);
  struct fake_block *block = fake_block_at(pointer);
  if (block != NULL && block->kind == FAKE_BLOCK_DEVICE && fake_arena_fd() >= 0 && offer(block)) {
    const struct ipc_handle handle = {.magic = IPC_MAGIC,
                                      .pid = (int32_t)getpid(),
                                      .fd = fake_arena_fd(),
                                      .unit = block->unit,
                                      .offset = fake_arena_offset(block->base),
                                      .size = block->size,
                                      .shared_id = block->shared_id};
    memset(out, 0, sizeof *out);
    memcpy(out, &handle, sizeof handle);
    block->touched = true;
    result = CUDA_SUCCESS;
  }
  pthread_mutex_unlock(&fake_lock);
  return result;
}

/* Maps whole pages of the owner's memory; the block may start inside the first. */
static CUresult map_peer(struct fake_context *context, const struct ipc_handle *handle, CUdeviceptr *out) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/fd/%d", handle->pid, handle->fd);
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    return CUDA_ERROR_INVALID_VALUE; /* the owner is gone */
  }
  uint64_t skew = handle->offset % 4096;
  pthread_mutex_lock(&fake_lock);
  struct fake_block *block = fake_block_new(handle->size + skew, FAKE_CHUNK_BYTES, FAKE_BLOCK_IPC, context);
  void *memory = block == NULL ? MAP_FAILED
                               : mmap((void *)(uintptr_t)block->base, fake_round_up(handle->size + skew, 4096),
                                      PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd,
                                      (off_t)(handle->offset - skew));
  if (memory != MAP_FAILED) {
    block->unit = handle->unit;
    block->shared_id = fake_state_hold(fake_driver.state, handle->shared_id) ? handle->shared_id : 0;
    *out = block->base + skew;
  } else if (block != NULL) {
    fake_block_delete(block);
  }
  pthread_mutex_unlock(&fake_lock);
  close(fd);
  return memory == MAP_FAILED ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}

static CUresult open_handle(CUdeviceptr *out, const CUipcMemHandle *opaque, unsigned flags) {
  struct fake_context *context = NULL;
  struct ipc_handle handle;
  memcpy(&handle, opaque, sizeof handle);
  FAKE_TRY(fake_current(&context));
  if (out == NULL || flags > CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS || handle.magic != IPC_MAGIC || handle.size == 0 ||
      handle.unit < 0 || handle.unit >= fake_driver.machine->unit_count) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (handle.pid == (int32_t)getpid()) {
    return CUDA_ERROR_INVALID_CONTEXT; /* a handle is for other processes */
  }
  return map_peer(context, &handle, out);
}

CUresult cuIpcOpenMemHandle_v2(CUdeviceptr *out, CUipcMemHandle handle, unsigned flags) {
  FAKE_ENTER(cuIpcOpenMemHandle_v2);
  return open_handle(out, &handle, flags);
}

CUresult cuIpcOpenMemHandle(CUdeviceptr *out, CUipcMemHandle handle, unsigned flags) {
  FAKE_ENTER(cuIpcOpenMemHandle);
  return open_handle(out, &handle, flags);
}

CUresult cuIpcCloseMemHandle(CUdeviceptr pointer) {
  FAKE_ENTER(cuIpcCloseMemHandle);
  pthread_mutex_lock(&fake_lock);
  struct fake_block *block = fake_block_at(pointer);
  bool good = block != NULL && block->kind == FAKE_BLOCK_IPC && pointer - block->base < 4096;
  if (good) {
    fake_arena_restore(block->base, fake_round_up(block->size, 4096));
    fake_memory_release(block);
  }
  pthread_mutex_unlock(&fake_lock);
  return good ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* ---- external memory: a file whose size counts on the card that maps it ----------------------------------------- */

struct fake_external {
  struct fake_object object;
  uint64_t size;
  uint64_t charged;
  int unit;
  struct fake_context *context;
};

CUresult cuImportExternalMemory(CUexternalMemory *out, const CUDA_EXTERNAL_MEMORY_HANDLE_DESC *description) {
  FAKE_ENTER(cuImportExternalMemory);
  struct fake_context *context = NULL;
  FAKE_TRY(fake_current(&context));
  if (out == NULL || description == NULL || description->size == 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (description->type != CU_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD) {
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  if (fcntl(description->handle.fd, F_GETFD) < 0) {
    return CUDA_ERROR_INVALID_HANDLE;
  }
  uint64_t charge = fake_round_up(description->size, FAKE_SMALL_BYTES);
  struct fake_external *external = fake_object_new(FAKE_EXTERNAL, sizeof *external);
  if (external == NULL || !fake_state_charge(fake_driver.state, context->unit, charge)) {
    if (external != NULL) {
      fake_object_delete(external);
    }
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  external->size = description->size;
  external->charged = charge;
  external->unit = context->unit;
  external->context = context;
  close(description->handle.fd); /* the driver takes the descriptor over */
  *out = (CUexternalMemory)external;
  return CUDA_SUCCESS;
}

CUresult cuExternalMemoryGetMappedBuffer(CUdeviceptr *out, CUexternalMemory handle,
                                         const CUDA_EXTERNAL_MEMORY_BUFFER_DESC *description) {
  FAKE_ENTER(cuExternalMemoryGetMappedBuffer);
  const struct fake_external *external = (const struct fake_external *)(const void *)handle;
  struct fake_block *block = NULL;
  if (!fake_object_is(external, FAKE_EXTERNAL)) {
    return CUDA_ERROR_INVALID_HANDLE;
  }
  if (out == NULL || description == NULL || description->size == 0 || description->size > external->size ||
      description->offset > external->size - description->size) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  FAKE_TRY(fake_memory_allocate(external->context, description->size, FAKE_BLOCK_EXTERNAL, 0, &block));
  *out = block->base;
  return CUDA_SUCCESS;
}

CUresult cuDestroyExternalMemory(CUexternalMemory handle) {
  FAKE_ENTER(cuDestroyExternalMemory);
  struct fake_external *external = (struct fake_external *)handle;
  if (!fake_object_is(external, FAKE_EXTERNAL)) {
    return CUDA_ERROR_INVALID_HANDLE;
  }
  fake_state_uncharge(fake_driver.state, external->unit, external->charged);
  fake_object_delete(external);
  return CUDA_SUCCESS;
}
