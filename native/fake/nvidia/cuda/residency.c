/*
 * Where managed memory lies, and what reaching it costs. A launch uses all of each managed block, and of each mapping
 * of host memory, that one of its 64-bit arguments points into; what is not on the card crosses the bus while the
 * kernel runs. The rules of who moves are nvidia-uvm's (uvm_va_block.c, uvm_pmm_gpu.c of the open kernel modules):
 * memory whose preferred location is the host stays there, other memory moves to the card and pushes out what was used
 * longest ago. Nobody but the process itself is pushed out here.
 */
#include <stdlib.h>
#include <string.h>

#include "driver.h"

#define USUAL_BUS_MIB_PER_S 24000u /* PCIe 4.0 with 16 lanes, as copies measure it */

static uint64_t uses;     /* counts uses, so that blocks know when their last was */
static uint64_t reserved; /* managed blocks and host mappings ever made: without any, launches look for none */

static uint64_t bus_ns(uint64_t bytes) {
  static uint64_t mib_per_s;
  uint64_t known = __atomic_load_n(&mib_per_s, __ATOMIC_RELAXED);
  if (known == 0) {
    const char *text = getenv("HAMI_FAKE_BUS_MIB_PER_S");
    known = text == NULL ? 0 : strtoull(text, NULL, 10);
    known = known == 0 || known > (1u << 24) ? USUAL_BUS_MIB_PER_S : known;
    __atomic_store_n(&mib_per_s, known, __ATOMIC_RELAXED);
  }
  return (uint64_t)((double)bytes * 1e9 / ((double)known * (double)FAKE_MIB));
}

void fake_residency_made(void) { __atomic_store_n(&reserved, 1, __ATOMIC_RELAXED); }

/* Needs fake_lock. */
static void send_home(struct fake_block *block) {
  fake_state_uncharge(fake_driver.state, block->unit, block->charged);
  block->charged = 0;
}

/* Needs fake_lock. */
static struct fake_block *used_longest_ago(const struct fake_block *wanted) {
  struct fake_block *oldest = NULL;
  for (struct fake_block *block = wanted->context->blocks; block != NULL; block = block->next) {
    bool movable = block->kind == FAKE_BLOCK_MANAGED && block->charged > 0 && block != wanted;
    if (movable && (oldest == NULL || block->last_use < oldest->last_use)) {
      oldest = block;
    }
  }
  return oldest;
}

/* Brings a block to the card as far as there is room, and returns what crosses the bus. Needs fake_lock. */
static uint64_t bring(struct fake_block *block) {
  uint64_t size = fake_round_up(block->size, fake_driver.small_bytes);
  uint64_t missing = size - block->charged;
  uint64_t moved = missing;
  uint64_t taken = fake_state_charge_up_to(fake_driver.state, block->unit, missing);
  for (struct fake_block *other; taken < missing && (other = used_longest_ago(block)) != NULL;) {
    moved += other->charged;
    send_home(other);
    taken += fake_state_charge_up_to(fake_driver.state, block->unit, missing - taken);
  }
  block->charged += taken;
  /* Larger than its room: used from end to end, each page has been pushed out again when its turn comes. */
  return taken < missing ? 2 * size : moved;
}

/* Needs fake_lock. */
static CUresult use(CUdeviceptr pointer, uint64_t *crossing) {
  struct fake_block *block = fake_block_at(pointer);
  if (block == NULL) {
    return CUDA_SUCCESS;
  }
  if (block->kind == FAKE_BLOCK_RESERVATION) {
    *crossing += fake_mapping_host_bytes(block, pointer - block->base);
    return CUDA_SUCCESS;
  }
  if (block->kind != FAKE_BLOCK_MANAGED) {
    return CUDA_SUCCESS;
  }
  block->last_use = ++uses;
  if (block->stays_home) {
    *crossing += block->size;
    return CUDA_SUCCESS;
  }
  *crossing += bring(block);
  /* No page of the card can be had: nvidia-uvm cancels such faults, and the program sees its kernel fail. */
  return block->charged > 0 ? CUDA_SUCCESS : CUDA_ERROR_ILLEGAL_ADDRESS;
}

CUresult fake_residency_use(const CUDA_KERNEL_NODE_PARAMS *launch, uint64_t *duration_ns) {
  const struct fake_kernel *kernel = (const struct fake_kernel *)(const void *)launch->func;
  uint64_t crossing = 0;
  CUresult result = CUDA_SUCCESS;
  if (__atomic_load_n(&reserved, __ATOMIC_RELAXED) == 0 || launch->kernelParams == NULL) {
    return CUDA_SUCCESS;
  }
  pthread_mutex_lock(&fake_lock);
  for (unsigned i = 0; i < kernel->parameter_count && result == CUDA_SUCCESS; i++) {
    CUdeviceptr pointer = 0;
    if (kernel->parameter_bytes[i] == sizeof pointer && launch->kernelParams[i] != NULL) {
      memcpy(&pointer, launch->kernelParams[i], sizeof pointer);
      result = use(pointer, &crossing);
    }
  }
  pthread_mutex_unlock(&fake_lock);
  *duration_ns += bus_ns(crossing);
  return result;
}

CUresult fake_residency_advise(CUdeviceptr pointer, size_t bytes, CUmem_advise advice, bool host) {
  pthread_mutex_lock(&fake_lock);
  struct fake_block *block = fake_block_at(pointer);
  bool good = block != NULL && block->kind == FAKE_BLOCK_MANAGED && bytes <= block->size - (pointer - block->base);
  if (good && advice == CU_MEM_ADVISE_SET_PREFERRED_LOCATION && host) {
    block->stays_home = true;
    send_home(block);
  } else if (good &&
             (advice == CU_MEM_ADVISE_SET_PREFERRED_LOCATION || advice == CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION)) {
    block->stays_home = false;
  }
  pthread_mutex_unlock(&fake_lock);
  return good ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
