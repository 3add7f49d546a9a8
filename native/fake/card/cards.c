#include "cards.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "card.h"
#include "common/host.h"

/* The card of a process that no machine was given: enough for tests of one process. */
static const struct fake_machine one_card = {
    .name = "one card",
    .device_count = 1,
    .devices = {{.uuid = "card-0", .memory_bytes = CARD_BYTES, .healthy = true}},
    .unit_count = 1,
    .units = {{.device = 0, .instance = -1, .memory_bytes = CARD_BYTES}},
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct fake_host host;
static int visible[FAKE_MAX_DEVICES];
static int visible_count;
static __thread int current;

static int named(const char *word) {
  char *end = NULL;
  long index = strtol(word, &end, 10);
  if (word[0] != '\0' && *end == '\0') {
    return index >= 0 && index < host.machine->device_count ? (int)index : -1;
  }
  for (int i = 0; i < host.machine->device_count; i++) {
    if (strcmp(host.machine->devices[i].uuid, word) == 0) {
      return i;
    }
  }
  return -1;
}

/* As CUDA has it, and as far as is known the others: the first word that names no card ends the list. */
static void read_visible(void) {
  const char *configured = getenv(card_visible_variable);
  if (configured == NULL) {
    for (int i = 0; i < host.machine->device_count; i++) {
      visible[visible_count++] = i;
    }
    return;
  }
  char *text = strdup(configured);
  char *rest = NULL;
  for (char *word = text == NULL ? NULL : strtok_r(text, ",", &rest); word != NULL && visible_count < FAKE_MAX_DEVICES;
       word = strtok_r(NULL, ",", &rest)) {
    int device = named(word);
    if (device < 0) {
      break;
    }
    visible[visible_count++] = device;
  }
  free(text);
}

static void open_machine(void) {
  if (fake_host_open(card_vendor, &host) == FAKE_MACHINE_NONE) {
    host.machine = &one_card;
    host.state = fake_state_open(&one_card);
  }
  if (host.state != NULL) {
    read_visible();
  }
}

struct fake_state *cards_state(void) {
  (void)pthread_once(&once, open_machine);
  return host.state;
}

int cards_device(void) { return cards_state() != NULL && current < visible_count ? visible[current] : -1; }

int card_count(void) {
  (void)cards_state();
  return visible_count;
}

bool card_use(int ordinal) {
  bool known = ordinal >= 0 && ordinal < card_count();
  current = known ? ordinal : current;
  return known;
}

int card_current(void) { return current; }

bool fake_use(int ordinal) { return card_use(ordinal); }
int fake_current(void) { return card_current(); }

const char *card_uuid(int ordinal) {
  bool known = ordinal >= 0 && ordinal < card_count();
  return known ? host.machine->devices[visible[ordinal]].uuid : NULL;
}

uint64_t card_bytes(void) {
  int device = cards_device();
  return device < 0 ? 0 : host.machine->units[device].memory_bytes;
}

uint64_t fake_used_bytes(void) {
  int device = cards_device();
  return device < 0 ? 0 : fake_state_used(host.state, device);
}
