/*
 * The cards of the simulated machine (HAMI_FAKE_MACHINE), as a process uses them through a runtime's double; without a
 * machine, one private card of CARD_BYTES. A kernel is a pointer to its duration in nanoseconds. Thread-safe.
 */
#ifndef HAMI_FAKE_CARD_H
#define HAMI_FAKE_CARD_H

#include <stdbool.h>
#include <stdint.h>

#define CARD_MIB (1024ULL * 1024ULL)
#define CARD_BYTES (4096 * CARD_MIB)

/* What a program that is linked with the double can ask and steer. */
#define CARD_CONTROL __attribute__((visibility("default")))
CARD_CONTROL uint64_t fake_used_bytes(void);   /* of the current card, by everybody */
CARD_CONTROL void fake_refuse_next(int count); /* that many allocations fail though there is room */
CARD_CONTROL uint64_t fake_busy_ns(void);      /* device time of all launches of this process so far */
CARD_CONTROL bool fake_use(int ordinal);       /* card_use and card_current for a runtime over another library */
CARD_CONTROL int fake_current(void);

/* Each double says whose it is, and which variable chooses and orders cards by index or uuid. */
extern const char card_vendor[];
extern const char card_visible_variable[];

/* The calling thread's card. Ordinals count the visible cards; the first one is current until another is chosen. */
int card_count(void);
bool card_use(int ordinal); /* false: no such card */
int card_current(void);
uint64_t card_bytes(void);          /* memory of the current card */
const char *card_uuid(int ordinal); /* NULL: no such card */

/* A piece of the current card's memory: an allocation's address or a handle. False: no room, or unknown. */
bool card_take(uint64_t bytes, uint64_t *key);
bool card_give(uint64_t key);

/* A mapping keeps a piece alive after it was given back. The address must be free. */
bool card_map(uint64_t address, uint64_t bytes, uint64_t key);
bool card_unmap(uint64_t address);
/* The piece mapped at an address gets one more reference. */
bool card_retain(uint64_t address, uint64_t *key);

/* NULL is the default stream. */
void card_launch(void *stream, const void *kernel);
void *card_stream_create(void);
void card_stream_destroy(void *stream);
void *card_event_create(void);
void card_event_destroy(void *event);
void card_event_record(void *event, void *stream);
bool card_event_reached(const void *event);
uint64_t card_event_between_ns(const void *begin, const void *end);
void card_synchronise(void *stream);

#endif
