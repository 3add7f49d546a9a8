#include "array_mappings.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include "physical.h"
#include "real.h"

#define AXES 3
#define MOST_PIECES (2 * AXES)

/* A part of an array: a box of elements of one level, or bytes of its tail. */
struct part {
  const void *array;
  uint32_t level;
  uint32_t layer;
  bool tail;
  uint64_t from[AXES];
  uint64_t to[AXES];
};

struct mapping {
  struct mapping *next;
  struct part part;
  struct hami_physical *physical; /* kept by one mapping of its count */
};

struct operation {
  struct part part;
  struct hami_physical *physical; /* pinned; NULL for an unmapping, and for memory of others */
  struct mapping *mapping;        /* to be filled; NULL like that */
};

struct hami_array_change {
  unsigned int count;
  struct operation operations[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct mapping *mappings;

/* The whole of such an array is mapped at once, whatever part is named. */
static bool is_deferred(const CUarrayMapInfo *info) {
  __typeof__(&cuArray3DGetDescriptor_v2) describe = HAMI_REAL(cuArray3DGetDescriptor_v2);
  __typeof__(&cuMipmappedArrayGetLevel) get_level = HAMI_REAL(cuMipmappedArrayGetLevel);
  CUarray array = info->resource.array;
  CUDA_ARRAY3D_DESCRIPTOR descriptor;
  bool known = info->resourceType == CU_RESOURCE_TYPE_ARRAY ||
               (get_level != NULL && get_level(&array, info->resource.mipmap, 0) == CUDA_SUCCESS);
  return known && describe != NULL && describe(&descriptor, array) == CUDA_SUCCESS &&
         (descriptor.Flags & CUDA_ARRAY3D_DEFERRED_MAPPING) != 0;
}

static struct part part_of(const CUarrayMapInfo *info) {
  struct part part = {.array = info->resource.array, .to = {UINT64_MAX, UINT64_MAX, UINT64_MAX}};
  if (is_deferred(info)) {
    return part;
  }
  part.tail = info->subresourceType == CU_ARRAY_SPARSE_SUBRESOURCE_TYPE_MIPTAIL;
  if (part.tail) {
    part.layer = info->subresource.miptail.layer;
    part.from[0] = info->subresource.miptail.offset;
    part.to[0] = part.from[0] + info->subresource.miptail.size;
    return part;
  }
  part.level = info->subresource.sparseLevel.level;
  part.layer = info->subresource.sparseLevel.layer;
  part.from[0] = info->subresource.sparseLevel.offsetX;
  part.from[1] = info->subresource.sparseLevel.offsetY;
  part.from[2] = info->subresource.sparseLevel.offsetZ;
  part.to[0] = part.from[0] + info->subresource.sparseLevel.extentWidth;
  part.to[1] = part.from[1] + info->subresource.sparseLevel.extentHeight;
  part.to[2] = part.from[2] + info->subresource.sparseLevel.extentDepth;
  return part;
}

static void cancel(struct hami_array_change *change) {
  for (unsigned int i = 0; i < change->count; i++) {
    hami_physical_unpin(change->operations[i].physical, 0, 0);
    free(change->operations[i].mapping);
  }
  free(change);
}

struct hami_array_change *hami_array_mappings_begin(const CUarrayMapInfo *list, unsigned int count) {
  struct hami_array_change *change = calloc(1, sizeof *change + (size_t)count * sizeof change->operations[0]);
  if (change == NULL) {
    return NULL;
  }
  for (unsigned int i = 0; i < count; i++) {
    struct operation *operation = &change->operations[change->count++];
    operation->part = part_of(&list[i]);
    if (list[i].memOperationType == CU_MEM_OPERATION_TYPE_MAP) {
      operation->physical = hami_physical_pin(list[i].memHandle.memHandle);
    }
    if (operation->physical != NULL && (operation->mapping = calloc(1, sizeof(struct mapping))) == NULL) {
      cancel(change);
      return NULL;
    }
  }
  return change;
}

static bool overlap(const struct part *left, const struct part *right) {
  bool met = left->array == right->array && left->level == right->level && left->layer == right->layer &&
             left->tail == right->tail;
  for (int axis = 0; axis < AXES; axis++) {
    met = met && left->from[axis] < right->to[axis] && right->from[axis] < left->to[axis];
  }
  return met;
}

static unsigned int add_piece(struct part *pieces, unsigned int count, struct part piece, int axis, uint64_t from,
                              uint64_t to) {
  piece.from[axis] = from;
  piece.to[axis] = to;
  pieces[count] = piece;
  return count + (from < to ? 1 : 0);
}

/* What is left of `whole` without `hole`, which overlaps it: at most a slice on either side of each axis. */
static unsigned int cut(struct part whole, const struct part *hole, struct part pieces[MOST_PIECES + 1]) {
  unsigned int count = 0;
  for (int axis = 0; axis < AXES; axis++) {
    count = add_piece(pieces, count, whole, axis, whole.from[axis], hole->from[axis]);
    count = add_piece(pieces, count, whole, axis, hole->to[axis], whole.to[axis]);
    whole.from[axis] = whole.from[axis] < hole->from[axis] ? hole->from[axis] : whole.from[axis];
    whole.to[axis] = whole.to[axis] > hole->to[axis] ? hole->to[axis] : whole.to[axis];
  }
  return count;
}

/* Replaces a mapping by what is left of it. Without memory for that it stays, and counts until its array ends. */
static void shrink_locked(struct mapping **link, const struct part *hole) {
  struct part pieces[MOST_PIECES + 1];
  struct mapping *made = NULL;
  struct mapping *mapping = *link;
  unsigned int count = cut(mapping->part, hole, pieces);
  unsigned int done = 0;
  for (; done < count; done++) {
    struct mapping *piece = malloc(sizeof *piece);
    if (piece == NULL) {
      break;
    }
    *piece = (struct mapping){.next = made, .part = pieces[done], .physical = mapping->physical};
    made = piece;
  }
  if (done < count) {
    while (made != NULL) {
      struct mapping *piece = made;
      made = piece->next;
      free(piece);
    }
    return;
  }
  *link = mapping->next;
  while (made != NULL) {
    struct mapping *piece = made;
    made = piece->next;
    piece->next = mappings;
    mappings = piece;
  }
  hami_physical_remap(mapping->physical, (int)count - 1);
  free(mapping);
}

static void unmap_locked(const struct part *hole) {
  /* What is left of a mapping goes to the front, where this walk does not come again, and overlaps no more. */
  for (struct mapping **link = &mappings; *link != NULL;) {
    struct mapping *seen = *link;
    if (overlap(&seen->part, hole)) {
      shrink_locked(link, hole);
    }
    if (*link == seen) {
      link = &seen->next;
    }
  }
}

void hami_array_mappings_end(struct hami_array_change *change, bool done) {
  if (!done) {
    cancel(change);
    return;
  }
  (void)pthread_mutex_lock(&lock);
  for (unsigned int i = 0; i < change->count; i++) {
    struct operation *operation = &change->operations[i];
    unmap_locked(&operation->part);
    if (operation->mapping != NULL) {
      *operation->mapping =
          (struct mapping){.next = mappings, .part = operation->part, .physical = operation->physical};
      mappings = operation->mapping;
      hami_physical_unpin(operation->physical, 0, 1);
    }
  }
  (void)pthread_mutex_unlock(&lock);
  free(change);
}

static void rename_locked(const void *from, const void *to) {
  for (struct mapping *mapping = mappings; mapping != NULL; mapping = mapping->next) {
    if (mapping->part.array == from) {
      mapping->part.array = to;
    }
  }
}

void hami_array_mappings_ending(const void *array, const void *token) {
  (void)pthread_mutex_lock(&lock);
  rename_locked(array, token);
  (void)pthread_mutex_unlock(&lock);
}

void hami_array_mappings_ended(const void *array, const void *token, bool destroyed) {
  (void)pthread_mutex_lock(&lock);
  if (!destroyed) {
    rename_locked(token, array);
  }
  for (struct mapping **link = &mappings; *link != NULL;) {
    struct mapping *mapping = *link;
    if (mapping->part.array != token) {
      link = &mapping->next;
      continue;
    }
    *link = mapping->next;
    hami_physical_remap(mapping->physical, -1);
    free(mapping);
  }
  (void)pthread_mutex_unlock(&lock);
}

void hami_array_mappings_after_fork_in_child(void) {
  lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
  mappings = NULL;
}
