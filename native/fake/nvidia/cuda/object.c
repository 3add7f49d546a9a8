#include <stdlib.h>
#include <string.h>

#include "driver.h"

static struct fake_object *free_lists[32];
static pthread_mutex_t lists_lock = PTHREAD_MUTEX_INITIALIZER;

void *fake_object_new(enum fake_tag tag, size_t size) {
  unsigned list = (unsigned)tag - (unsigned)FAKE_CONTEXT;
  pthread_mutex_lock(&lists_lock);
  struct fake_object *object = free_lists[list];
  if (object != NULL) {
    free_lists[list] = object->next_free;
  }
  pthread_mutex_unlock(&lists_lock);
  if (object == NULL) {
    object = calloc(1, size);
  } else {
    memset((char *)object + sizeof *object, 0, size - sizeof *object);
  }
  if (object != NULL) {
    object->kind = (uint32_t)tag;
    object->next_free = NULL;
    __atomic_store_n(&object->tag, (uint32_t)tag, __ATOMIC_RELAXED);
  }
  return object;
}

void fake_object_delete(void *pointer) {
  struct fake_object *object = pointer;
  __atomic_store_n(&object->tag, (uint32_t)FAKE_GONE, __ATOMIC_RELAXED);
  /* A stack of dead contexts may sit on other threads' context stacks for ever: those are never reused. */
  if (object->kind == (uint32_t)FAKE_CONTEXT) {
    return;
  }
  unsigned list = object->kind - (unsigned)FAKE_CONTEXT;
  pthread_mutex_lock(&lists_lock);
  object->next_free = free_lists[list];
  free_lists[list] = object;
  pthread_mutex_unlock(&lists_lock);
}
